// Keeps a page true while one looks at it: parts that are marked `data-live` are taken from the page as it is now.

import { call } from "./wire.js";

const said = document.getElementById("said");
const say = (text) => { if (said) said.textContent = text; };
const every = document.querySelector("[data-live='3'], [data-live='5']");
const followed = document.querySelector("[data-live='events']");

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
  enhance();
}

let pending = null;

// One at a time: who asks meanwhile gets one more when it is through.
async function refresh() {
  if (pending) return void (pending.again = true);
  pending = { again: false };
  try {
    const response = await call(location.href, { headers: { Accept: "text/html" } });
    if (!response.redirected) replace(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch { /* the server is away: the next round looks again */ }
  const { again } = pending;
  pending = null;
  if (again) setTimeout(refresh, 300);
}

const picked = () => [...document.querySelectorAll("tbody .pick input:checked")];

function count() {
  const acts = document.getElementById("acts");
  if (!acts) return;
  acts.hidden = !picked().length || !acts.children.length;
  if (acts.firstElementChild) acts.firstElementChild.textContent = `${picked().length} selected`;
}

const DONE = { cancel: "canceled", retry: "retried", delete: "deleted" };

async function act(word, id) {
  const response = word === "delete" ? await call(`/tasks/${id}`, { method: "DELETE" }) : await call(`/tasks/${id}/${word}`, { method: "POST" });
  return word === "delete" ? null : response.json();
}

async function actOnOne(word, id) {
  try {
    const answer = await act(word, id);
    if (word === "cancel") return refresh();
    location.assign(word === "retry" ? `/ui/tasks/${answer.task_id}` : "/ui/tasks");
  } catch (error) {
    say(error.problem?.detail ?? error.problem?.title);
  }
}

async function actOnPicked(word) {
  const boxes = picked();
  let failed = 0;
  let reason = "";
  await Promise.all(boxes.map(async (box) => {
    try {
      await act(word, box.value);
      box.checked = false;
    } catch (error) {
      failed += 1;
      reason = error.problem?.detail ?? String(error);
    }
  }));
  say(`${boxes.length - failed} ${DONE[word]}${failed ? `, ${failed} not: ${reason}` : ""}`);
  said.classList.toggle("visually-hidden", !failed);
  count();
  refresh();
}

function enhance() {
  for (const each of document.querySelectorAll(".acts.one")) each.hidden = false;
  if (document.querySelector("#acts button")) for (const box of document.querySelectorAll(".pick input")) box.hidden = false;
  count();
}

document.addEventListener("click", ({ target }) => {
  const word = target.dataset?.act;
  if (word) target.dataset.id ? actOnOne(word, target.dataset.id) : actOnPicked(word);
});
document.addEventListener("change", ({ target }) => {
  if (target.id === "all") for (const box of document.querySelectorAll("tbody .pick input")) box.checked = target.checked;
  if (target.closest(".pick")) count();
});
enhance();
if (every) setInterval(() => { if (!document.hidden) refresh(); }, 1000 * Number(every.dataset.live));
if (followed) {
  const source = new EventSource(followed.dataset.events);
  for (const word of ["status", "progress", "log"]) source.addEventListener(word, refresh);
  source.addEventListener("done", () => { source.close(); refresh(); });
}
