// Schedules: run, pause, delete, make. The server's own words say what is wrong.

import { badJson, free, mark, values } from "./forms.js";
import { edit } from "./steps.js";
import { Refused, call, parse } from "./wire.js";

const KEPT = ["task", "input", "every", "cron", "timezone", "enabled", "overlap", "options"];
const said = document.getElementById("said");
const form = document.getElementById("new");
const when = document.getElementById("when");
const given = () => document.getElementById("given");

function enhance() {
  for (const each of document.querySelectorAll(".acts")) each.hidden = false;
}

async function refresh() {
  const text = await (await call(location.href)).text();
  const made = parse(text).getElementById("list");
  const old = document.getElementById("list");
  const held = old.contains(document.activeElement) ? JSON.stringify(document.activeElement.dataset) : null;
  old.replaceChildren(...made.childNodes);
  enhance();
  if (held) [...old.querySelectorAll("button")].find((button) => JSON.stringify(button.dataset) === held)?.focus();
}

const put = (name, body) => call(`/schedules/${name}`, { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

async function turn(name) {
  const now = await (await call(`/schedules/${name}`)).json();
  const body = Object.fromEntries(KEPT.filter((key) => now[key] !== null).map((key) => [key, now[key]]));
  await put(name, { ...body, enabled: !now.enabled });
  said.textContent = `${name} is ${now.enabled ? "paused" : "on"}.`;
}

async function act({ run, pause, delete: gone }) {
  if (run) {
    await call(`/schedules/${run}/run`, { method: "POST" });
    said.textContent = `${run} runs now.`;
  } else if (pause) await turn(pause);
  else if (confirm(`Delete the schedule ${gone}?`)) {
    await call(`/schedules/${gone}`, { method: "DELETE" });
    said.textContent = `${gone} is deleted.`;
  }
}

// The fields of another kind of task come from its own page.
async function choose(task) {
  const page = parse(await (await call(`/ui/schedules?task=${encodeURIComponent(task)}`)).text());
  given().replaceWith(document.adoptNode(page.getElementById("given")));
  prepare();
}

function prepare() {
  free(given());
  edit(given());
}

async function make() {
  badJson(given());
  const { name, every, ...rest } = Object.fromEntries([...when.elements].filter((field) => field.value).map((field) => [field.name, field.value]));
  const body = { ...rest, input: values(given()), ...(every ? { every: Number(every) } : {}) };
  await put(encodeURIComponent(name), body);
  said.textContent = `${name} is made.`;
  for (const id of ["name", "every", "cron"]) document.getElementById(id).value = "";
}

// Errors of the input belong to its fields, the others to the schedule's own.
function markAll(errors) {
  const at = (part, name) => errors.filter(({ loc }) => (loc[0] === "input") === part).map(({ loc, msg }) => ({ loc: loc[0] === name ? loc.slice(1) : loc, msg }));
  mark(given(), at(true, "input"));
  mark(when, at(false, "path"));
}

async function guarded(work) {
  markAll([]);
  try {
    await work();
    await refresh();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { title, detail, errors = [] } = error.problem;
    said.textContent = [`${title}.`, detail, ...errors.map(({ loc, msg }) => `${loc.join(" › ")}: ${msg}.`)].filter(Boolean).join(" ");
    markAll(errors);
  }
}

document.addEventListener("click", ({ target: { dataset } }) => {
  if (dataset?.run || dataset?.pause || dataset?.delete) guarded(() => act(dataset));
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(make);
});
document.getElementById("task").addEventListener("change", ({ target }) => guarded(() => choose(target.value)));
form.hidden = false;
prepare();
document.getElementById("without").hidden = true;
enhance();
