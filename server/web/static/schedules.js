// Schedules: run, pause, delete, make. The server's own words say what is wrong.

import { badJson, mark } from "./forms.js";
import { Refused, call } from "./wire.js";

const KEPT = ["task", "input", "every", "cron", "timezone", "enabled", "overlap", "options"];
const said = document.getElementById("said");
const form = document.getElementById("new");

function enhance() {
  for (const each of document.querySelectorAll(".acts")) each.hidden = false;
}

async function refresh() {
  const text = await (await call(location.href)).text();
  const made = new DOMParser().parseFromString(text, "text/html").getElementById("list");
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
  else {
    await call(`/schedules/${gone}`, { method: "DELETE" });
    said.textContent = `${gone} is deleted.`;
  }
}

async function make() {
  badJson(form);
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  const { name, ...rest } = given;
  const body = { ...rest, input: JSON.parse(given.input ?? "{}"), ...(given.every ? { every: Number(given.every) } : {}) };
  await put(encodeURIComponent(name), body);
  said.textContent = `${name} is made.`;
  form.reset();
}

async function guarded(work) {
  mark(form, []);
  try {
    await work();
    await refresh();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { title, detail, errors = [] } = error.problem;
    said.textContent = [detail ?? title, ...errors.map(({ loc, msg }) => `${loc.join(" › ")}: ${msg}`)].join(" ");
    mark(form, errors);
  }
}

document.addEventListener("click", ({ target: { dataset } }) => {
  if (dataset?.run || dataset?.pause || dataset?.delete) guarded(() => act(dataset));
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(make);
});
form.hidden = false;
document.getElementById("without").hidden = true;
enhance();
