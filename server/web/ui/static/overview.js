// The overview is brought up to date every 15 seconds while it is looked at; only what differs is written.

import { complain, morph } from "./live.js";
import { localize } from "./page.js";
import { SILENT, call, parse, passes } from "./wire.js";

const EVERY = 15;
const mark = document.querySelector(".live");
let last = Date.now();

async function refresh() {
  last = Date.now();
  try {
    const answer = await call(location.pathname + location.search, { headers: { Accept: "text/html" } });
    if (answer.redirected) throw Object.assign(new Error(), { problem: { status: 401, title: "You are signed out", detail: "Your session has ended, or its key was revoked." } });
    const made = parse(await answer.text()).getElementById("live");
    morph(document.getElementById("live"), made);
    localize();
    complain(null);
    mark.hidden = false;
  } catch (error) {
    mark.hidden = true;
    complain(error.problem ?? SILENT);
    if (error.problem && !passes(error.problem)) clearInterval(timer);
  }
}

const timer = setInterval(() => { if (!document.hidden && Date.now() - last >= 1000 * EVERY) refresh(); }, 500);
document.addEventListener("visibilitychange", () => { if (!document.hidden && Date.now() - last >= 1000 * EVERY) refresh(); });
mark.hidden = false;
export { refresh };
