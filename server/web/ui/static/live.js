// Keeps a page true while one looks at it: parts that are marked `data-live` are taken from the page as it is now.
// That happens at each event of the task whose page it is, and every so many seconds where a part says `data-every`.
// Who has something to do to each new state of the page listens for `renewed`.

import { Refused, call, element, parse, passes, spoken } from "./wire.js";

const followed = document.querySelector("[data-events]");
let trouble = null;
let seen = new Date();

// Rows keep their boxes and the focus within: cells are replaced, and only those that differ.
function merge(old, made) {
  for (const [at, cell] of [...made.cells].entries()) {
    if (at && old.cells[at]?.innerHTML !== cell.innerHTML) old.cells[at].replaceWith(cell.cloneNode(true));
  }
  return old;
}

function mergeRows(old, made) {
  const rows = [...made.rows].map((row) => {
    const there = document.getElementById(row.id);
    return there && row.cells.length === there.cells.length ? merge(there, row) : document.adoptNode(row);
  });
  if (rows.length !== old.rows.length || rows.some((row, at) => row !== old.rows[at])) old.replaceChildren(...rows);
}

function replace(page) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const made = page.getElementById(old.id);
    if (!made || made.innerHTML === old.innerHTML) continue;
    const held = old.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    if (old.tagName === "TBODY") mergeRows(old, made);
    else old.replaceChildren(...made.childNodes);
    if (held !== null && !old.contains(document.activeElement)) old.querySelector("button")?.focus();
  }
  if (!page.querySelector("[data-events]")) delete followed?.dataset.every;
  document.dispatchEvent(new Event("renewed"));
}

// Says what is wrong above all else, once; and takes it back. What passes by itself is looked at again.
function complain(problem) {
  const shown = problem && passes(problem) ? `What you see is from ${seen.toLocaleTimeString()}; it goes on by itself.` : "";
  const said = problem ? `${problem.title} ${problem.detail} ${shown}` : "";
  if (said === (trouble?.said ?? "")) return;
  trouble?.remove();
  trouble = problem ? element("div", { className: "notice", role: "alert", said }, ...spoken({ ...problem, detail: `${problem.detail ?? ""} ${shown}` })) : null;
  if (trouble) document.querySelector("main").prepend(trouble);
}

async function look() {
  const response = await call(location.href, { headers: { Accept: "text/html" } });
  if (new URL(response.url).pathname === "/ui/sign-in") throw new Refused({ status: 401, title: "You are signed out", detail: "Your session has ended, or its key was revoked." });
  const page = parse(await response.text());
  seen = new Date();
  replace(page);
}

let pending = null;

// One at a time: who asks meanwhile gets one more when it is through.
export async function refresh() {
  if (pending) return void (pending.again = true);
  pending = { again: false };
  try {
    await look();
    complain(null);
  } catch (error) {
    complain(error.problem ?? { title: "This page cannot be brought up to date", detail: String(error) });
  }
  const { again } = pending;
  pending = null;
  if (again) setTimeout(refresh, 300);
}

function follow() {
  const source = new EventSource(followed.dataset.events);
  for (const word of ["open", "status", "progress", "log"]) source.addEventListener(word, refresh);
  source.addEventListener("done", () => { source.close(); refresh(); });
  // A browser asks again after a connection that broke, but not after an answer that is no stream.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) followed.dataset.every = "5";
    refresh();
  });
}

let last = Date.now();
setInterval(() => {
  const every = document.querySelector("[data-every]")?.dataset.every;
  if (!every || document.hidden || Date.now() - last < 1000 * every) return;
  last = Date.now();
  refresh();
}, 500);
if (followed) follow();
