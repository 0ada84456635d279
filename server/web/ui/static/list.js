// The list of tasks: selection, keyboard, columns, bulk actions, and changes over one stream.

import { actOnAll, actOnMany, fits } from "./acts.js";
import { Stream } from "./live.js";
import { localize } from "./page.js";
import "./views.js";
import { element, loaded, number, plural, restate, span } from "./common.js";

const rows = document.getElementById("rows");
const bar = document.getElementById("selection");
const bulk = document.getElementById("bulk");
const all = document.getElementById("all");
const pill = document.querySelector(".pill");
const selected = new Map();
let last = null;
let current = null;
let stream = null;

const list = () => [...rows.rows];
const idOf = (row) => row.id.slice(2);
const text = (row, selector) => row.querySelector(selector)?.textContent ?? "";
const taskOf = (row) => ({ id: idOf(row), status: row.dataset.status, retried: "retried" in row.dataset, taskType: text(row, ".c-task"), what: text(row, ".what > :first-child") });

// The link back from a task's page keeps the filters.
sessionStorage.setItem("list", location.pathname + location.search);

function show() {
  for (const row of list()) {
    const is = selected.has(idOf(row));
    row.querySelector("input").checked = is;
    row.setAttribute("aria-selected", String(is));
  }
  const count = list().filter((row) => selected.has(idOf(row))).length;
  all.checked = count > 0 && count === rows.rows.length;
  all.classList.toggle("some", count > 0 && !all.checked);
  bar.hidden = !selected.size;
  if (bulk) bulk.hidden = selected.size > 0;
  const tasks = [...selected.values()];
  const by = Map.groupBy(tasks, ({ status }) => status);
  bar.querySelector("strong").textContent = `${number(tasks.length)} selected`;
  bar.querySelector(".muted").textContent = [...by].map(([status, some]) => `${number(some.length)} ${status}`).join(", ");
  for (const act of bar.querySelectorAll("[data-act]")) {
    const fitting = tasks.filter(fits[act.dataset.act]).length;
    act.hidden = !fitting;
    act.querySelector("span").textContent = `${{ retry: "Retry", cancel: "Cancel", delete: "Delete" }[act.dataset.act]} ${number(fitting)}…`;
  }
}

function select(row, is, range = false) {
  const here = list();
  const from = range && last ? here.indexOf(last) : -1;
  const to = here.indexOf(row);
  const some = from < 0 ? [row] : here.slice(Math.min(from, to), Math.max(from, to) + 1);
  for (const each of some) is ? selected.set(idOf(each), taskOf(each)) : selected.delete(idOf(each));
  last = row;
  show();
}

function move(by) {
  const here = list();
  if (!here.length) return;
  current = here[Math.max(0, Math.min(here.length - 1, here.indexOf(current) + by))];
  current.querySelector("a").focus();
}

const KEYS = {
  j: () => move(1),
  k: () => move(current ? -1 : 1),
  x: (event) => current && select(current, !selected.has(idOf(current)), event.shiftKey),
  X: () => current && select(current, true, true),
  r: () => bar?.querySelector("[data-act=retry]:not([hidden])")?.click(),
  c: () => current && navigator.clipboard?.writeText(idOf(current)),
  ".": () => document.getElementById("fresh").click(),
};

function uncover(within) {
  for (const box of within.querySelectorAll(".c-pick input")) box.hidden = false;
  columns();
}

// The chosen columns are stored in this browser.
function columns() {
  const off = JSON.parse(localStorage.getItem("columns") ?? '["id"]');
  for (const box of document.querySelectorAll("#column-list input")) {
    box.checked = !off.includes(box.value);
    for (const cell of document.querySelectorAll(`.list .c-${box.value}`)) cell.hidden = !box.checked;
  }
}

// New tasks wait behind a button: rows never move under the pointer.
let fresh = 0;
function offer(count) {
  fresh = count;
  pill.hidden = !count;
  document.getElementById("fresh").replaceChildren(`${plural(count, "new task").replace(/^100 /, "100 or more ")}. Show `, element("kbd", { ariaHidden: "true" }, "."));
}

async function showFresh() {
  if (!fresh) return;
  const page = await loaded();
  const added = [...page.querySelectorAll("#rows tr")].filter((row) => !document.getElementById(row.id));
  rows.prepend(...added.map((row) => document.adoptNode(row)));
  rows.dataset.live = page.getElementById("rows").dataset.live;
  stream?.close();
  follow();
  document.getElementById("empty")?.remove();
  uncover(rows);
  localize(rows);
  offer(0);
  if (bar) show();
}

const CAUTION = ["retrying", "canceling"];

// A change updates only the cells that differ, so that the row keeps its selection and focus.
function change(row, { status, message, started_ms: started, seconds }) {
  row.dataset.status = status;
  restate(row.querySelector(".c-status"), status);
  const cell = row.querySelector(".msg");
  cell.className = `cut msg${status === "failed" ? " bad" : CAUTION.includes(status) ? " caution" : ""}`;
  if (cell.textContent !== message) cell.textContent = cell.title = message;
  const time = row.querySelector(".c-time");
  if (started) time.dataset.since = started;
  else delete time.dataset.since;
  const text = started ? span(Math.max(0, Date.now() - started) / 1000) : seconds === null ? "" : span(seconds);
  if (time.textContent !== text) time.textContent = text;
  if (selected.has(idOf(row))) selected.set(idOf(row), taskOf(row));
}

// The tabs show how many tasks they have; "All" has the sum.
function counts(byStatus) {
  const all = Object.values(byStatus).reduce((sum, count) => sum + count, 0);
  for (const label of document.querySelectorAll("[data-count]")) {
    const text = number(label.dataset.count ? byStatus[label.dataset.count] ?? 0 : all);
    if (label.textContent !== text) label.textContent = text;
  }
}

function follow() {
  const live = document.querySelector(".live");
  stream = new Stream(rows.dataset.live, {
    open() { live.hidden = false; },
    row(changed) {
      const row = document.getElementById(`t-${changed.id}`);
      if (!row) return;
      change(row, changed);
      if (bar) show();
    },
    fresh({ count }) { offer(count); },
    counts,
  });
}

async function actOn(word) {
  await actOnMany(word, [...selected.values()], ({ id }) => {
    selected.delete(id);
    const row = document.getElementById(`t-${id}`);
    if (word === "delete") row?.remove();
    else if (word === "retry" && row) row.dataset.retried = "";
    show();
  });
}

document.addEventListener("click", (event) => {
  const { target } = event;
  const act = target.closest?.("[data-act]");
  if (act && bar?.contains(act)) actOn(act.dataset.act);
  else if (target.closest?.("[data-clear]")) { selected.clear(); show(); }
  else if (target.closest?.("[data-bulk]")) {
    const { bulk: word } = target.closest("[data-bulk]").dataset;
    actOnAll(word, bulk.dataset.query, `that match: ${bulk.dataset.description}`);
  } else if (target.id === "fresh" || target.closest?.("#fresh")) showFresh();
  else if (target.matches?.("tbody .c-pick input")) select(target.closest("tr"), target.checked, event.shiftKey);
});
document.addEventListener("change", ({ target }) => {
  if (target === all) {
    for (const row of list()) all.checked ? selected.set(idOf(row), taskOf(row)) : selected.delete(idOf(row));
    show();
  } else if (target.closest?.("#column-list")) {
    localStorage.setItem("columns", JSON.stringify([...document.querySelectorAll("#column-list input")].filter((box) => !box.checked).map((box) => box.value)));
    columns();
  }
});
document.addEventListener("key", ({ detail: event }) => {
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key](event);
});
rows.addEventListener("focusin", ({ target }) => { current = target.closest("tr"); });

if (bar) {
  all.hidden = false;
  uncover(rows);
  show();
} else columns();
if (rows.dataset.live) follow();
