// A task's own page: it follows the task's events and updates only the differences.

import { actOnOne, backTo } from "./acts.js";
import { Stream, morph } from "./live.js";
import { localize } from "./page.js";
import { described, exports } from "./results.js";
import { say } from "./confirm.js";
import { DONE, call, element, loaded, plural, post, reason, restate, root } from "./wire.js";

// Log lines and items are added at most four times a second.
const LOG_MS = 250;

const head = document.getElementById("state");
const lines = document.getElementById("lines");
const items = document.getElementById("items");

const PARTS = ["why", "fall", "about", "tries"];

// Seconds between two checks of an undelivered webhook.
const WEBHOOK = 5;

// After a new status, the changed parts are loaded from the page, once per change.
async function refresh() {
  const page = await loaded();
  const done = DONE.includes(page.getElementById("state").dataset.status);
  if (done) {
    const old = document.querySelector(".two.rail > div");
    const section = page.querySelector("#output-h")?.closest("section");
    if (section && !document.getElementById("output-h")) old.prepend(document.adoptNode(section));
  }
  for (const id of PARTS) {
    const [old, made] = [document.getElementById(id), page.getElementById(id)];
    if (old && made) morph(old, made);
  }
  const [acts, made] = [document.getElementById("acts"), page.getElementById("acts")];
  if (acts && made && acts.textContent !== made.textContent) acts.replaceChildren(...made.childNodes);
  localize();
  document.title = page.title;
  describe();
}

let pending = Promise.resolve();
const refreshed = () => (pending = pending.then(refresh, refresh).catch(() => {}));

function status(found) {
  restate(document.getElementById("mark"), found.status, undefined, { big: true });
  head.dataset.status = found.status;
  progress(DONE.includes(found.status) ? null : found.progress);
  refreshed();
}

function progress(found) {
  const box = document.getElementById("progress");
  box.hidden = !found;
  if (!found) return;
  box.querySelector("strong").textContent = `${found.percent}%`;
  box.querySelector(".muted").textContent = found.message ?? "";
  box.querySelector("progress").value = found.percent;
}

const MAX_LINES = 5000;

// Returns a function that adds an entry to a list. The list is written at most four times a second, and then counted.
function batched(list, note, word, row) {
  const waiting = [];
  let writing = null;
  function write() {
    writing = null;
    const follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 24;
    list.hidden = list.closest("section").hidden = false;
    const made = waiting.splice(0).map(row);
    made.forEach((each) => localize(each));
    list.append(...made);
    while (list.children.length > MAX_LINES) list.firstElementChild.remove();
    document.getElementById(note).textContent = plural(list.children.length, word);
    if (follows) list.scrollTop = list.scrollHeight;
  }
  return (entry) => {
    waiting.push(entry);
    writing ??= setTimeout(write, LOG_MS);
  };
}

const line = batched(lines, "log-note", "line", ({ at, text }) => element("li", {}, element("time", { dateTime: at, title: `${at.replace("T", " ").replace("Z", "")} UTC`, data: { form: "exact" } }), element("span", {}, text)));

const item = batched(items, "items-note", "item", ({ number, value, attempt }) => {
  if (items.dataset.attempt !== String(attempt)) items.replaceChildren();
  items.dataset.attempt = attempt;
  return element("li", {}, element("span", { className: "num" }, String(number)), element("span", {}, JSON.stringify(value)));
});

async function describe() {
  const place = document.getElementById("described");
  if (!place || place.hasChildNodes() || !document.getElementById("json")) return;
  const answer = await call(place.dataset.result, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer) return;
  const { result } = await answer.json();
  place.replaceChildren(...described(result));
  if (place.hasChildNodes()) document.getElementById("json").open = false;
  const box = document.getElementById("exports");
  box.replaceChildren(...exports(result, document.querySelector("h1").textContent));
  box.hidden = false;
}

function follow() {
  // Entries that the page already shows are not requested again.
  const last = `${lines.dataset.last}-${items.dataset.last}.page`;
  const stream = new Stream(head.dataset.events, {
    status,
    progress,
    log: line,
    output: item,
    done(found) { stream.close(); status(found); },
  }, last);
}

// The next looks at the deliveries show what comes of it.
async function sendAgain(button) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await post(`${root}/tasks/${button.dataset.again}/webhook`);
    say("The webhook is sent again.", "ok");
    document.getElementById("tries").dataset.pending = "";
    watch();
  } catch (error) {
    say(reason(error), "fail");
  }
  button.removeAttribute("aria-busy");
}

document.addEventListener("click", ({ target }) => {
  const again = target.closest?.("[data-again]");
  if (again) sendAgain(again);
  const button = target.closest?.("[data-act]");
  if (button) actOnOne(button.dataset.act, head.dataset.id, document.querySelector("h1").textContent, "retried" in button.dataset);
});
document.addEventListener("key", ({ detail: { key } }) => {
  if (key === "r") document.querySelector("#acts [data-act=retry]")?.click();
  if (key === "c") navigator.clipboard?.writeText(head.dataset.id);
});
document.getElementById("back").href = backTo();
describe();
if (head.dataset.events) follow();
let timer = null;
function watch() {
  timer ??= setInterval(() => {
    const tries = document.getElementById("tries");
    if (!tries || !("pending" in tries.dataset)) timer = clearInterval(timer) ?? null;
    else if (!document.hidden && DONE.includes(head.dataset.status)) refreshed();
  }, 1000 * WEBHOOK);
}
watch();
