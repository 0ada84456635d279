// Failures: search, a retry of exactly one group, and what is new every 15 seconds.

import { actOnMany } from "./acts.js";
import { say } from "./confirm.js";
import { complain, morph } from "./live.js";
import { localize } from "./page.js";
import { search } from "./search.js";
import { SILENT, call, parse, passes, reason } from "./wire.js";

const EVERY = 15;
const live = document.getElementById("live");
const mark = document.querySelector(".live");
const field = document.getElementById("q");
let last = Date.now();

function uncover() {
  for (const each of document.querySelectorAll("[data-retry]")) each.hidden = false;
  search(field, document.querySelectorAll("[data-find]"), document.getElementById("none"));
}

async function refresh() {
  last = Date.now();
  try {
    const answer = await call(location.pathname + location.search, { headers: { Accept: "text/html" } });
    // A question that is open keeps its place.
    if (!document.querySelector(".confirm")) morph(live, parse(await answer.text()).getElementById("live"));
    localize();
    uncover();
    complain(null);
    mark.hidden = false;
  } catch (error) {
    mark.hidden = true;
    complain(error.problem ?? SILENT);
    if (error.problem && !passes(error.problem)) clearInterval(timer);
  }
}

async function retry(button) {
  const box = button.closest("article");
  try {
    const { tasks } = await (await call(`/ui/failures/${button.dataset.retry}/tasks?range=${live.dataset.range}`)).json();
    await actOnMany("retry", tasks, () => {}, box.querySelector(".place-confirm"));
  } catch (error) {
    say(reason(error), "fail");
  }
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-retry]");
  if (button) retry(button);
});
const timer = setInterval(() => { if (!document.hidden && Date.now() - last >= 1000 * EVERY) refresh(); }, 500);
mark.hidden = false;
uncover();
