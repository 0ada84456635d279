// A task's own page: it follows the task's events and updates only the differences.

import { actOnOne, backTo } from "./acts.js";
import { Stream, morph } from "./live.js";
import { localize } from "./page.js";
import { described, exports } from "./results.js";
import { say } from "./confirm.js";
import { DONE, call, element, loaded, parsed, plural, post, reason, restate, root } from "./common.js";

// Log lines and items are added at most four times a second.
const LOG_MS = 250;

const head = document.getElementById("state");
const lines = document.getElementById("lines");
const items = document.getElementById("items");

const PARTS = ["reason", "fall", "about", "tries"];

// Seconds between two checks of an undelivered webhook.
const WEBHOOK_INTERVAL = 5;

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
    const [old, updated] = [document.getElementById(id), page.getElementById(id)];
    if (old && updated) morph(old, updated);
  }
  const [acts, updated] = [document.getElementById("acts"), page.getElementById("acts")];
  if (acts && updated && acts.textContent !== updated.textContent) acts.replaceChildren(...updated.childNodes);
  localize();
  document.title = page.title;
  describe();
}

let pending = Promise.resolve();
const refreshed = () => (pending = pending.then(refresh, refresh).catch(() => {}));

function status(task) {
  restate(document.getElementById("mark"), task.status, undefined, { big: true });
  head.dataset.status = task.status;
  progress(DONE.includes(task.status) ? null : task.progress);
  refreshed();
}

function progress(report) {
  const box = document.getElementById("progress");
  box.hidden = !report;
  if (!report) return;
  box.querySelector("strong").textContent = `${report.percent}%`;
  box.querySelector(".muted").textContent = report.message ?? "";
  box.querySelector("progress").value = report.percent;
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
    const added = waiting.splice(0).map(row);
    added.forEach((each) => localize(each));
    list.append(...added);
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
  const description = document.getElementById("described");
  if (!description || description.hasChildNodes() || !document.getElementById("json")) return;
  const answer = await call(description.dataset.result, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer) return;
  const { result } = parsed(await answer.text());
  description.replaceChildren(...described(result));
  if (description.hasChildNodes()) document.getElementById("json").open = false;
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
    done(task) { stream.close(); status(task); },
  }, last);
}

// The next checks of the deliveries show the result.
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
  }, 1000 * WEBHOOK_INTERVAL);
}
watch();
