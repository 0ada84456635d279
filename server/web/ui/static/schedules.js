// Schedules: run, pause, delete, create and edit. The server's error messages are shown at their fields.

import { ask, say } from "./confirm.js";
import { badJson, fill, free, mark, values } from "./forms.js";
import { written } from "./page.js";
import { follow, renew } from "./parts.js";
import { edit } from "./steps.js";
import { Refused, call, loaded, parsed, post, request, root } from "./common.js";

const form = document.getElementById("new");
const when = document.getElementById("when");
const inputFields = () => document.getElementById("schedule-input");
const isEdited = form?.elements.name.readOnly;

const addressOf = (name) => `${root}/schedules/${encodeURIComponent(name)}`;

async function togglePause(name) {
  const now = await (await call(addressOf(name))).json();
  await request("PATCH", addressOf(name), { enabled: !now.enabled });
  say(`Schedule ${name} ${now.enabled ? "paused" : "resumed"}.`, "ok");
}

async function act({ run, pause, delete: deleted }) {
  if (run) {
    await post(`${addressOf(run)}/run`);
    say(`Schedule ${run} is running now.`, "ok");
  } else if (pause) await togglePause(pause);
  else if (await ask({ title: `Delete schedule ${deleted}?`, text: "It will not run again. Its tasks stay.", choices: [{ label: `Delete ${deleted}`, value: true, danger: true }] })) {
    await request("DELETE", addressOf(deleted));
    say(`Schedule ${deleted} deleted.`, "ok");
  }
}

// Loads the fields of another task type from its own page.
async function choose(task) {
  const page = await loaded(`${root}/ui/schedules?task=${encodeURIComponent(task)}`);
  inputFields().replaceWith(document.adoptNode(page.getElementById("schedule-input")));
  await prepare();
}

async function prepare() {
  free(inputFields());
  await edit(inputFields());
  if (inputFields().dataset.values) fill(inputFields(), parsed(inputFields().dataset.values));
}

async function save() {
  badJson(inputFields());
  const { name, every, ...rest } = Object.fromEntries([...when.elements].filter((field) => field.value && field.name).map((field) => [field.name, field.value]));
  const before = isEdited ? await (await call(addressOf(name))).json() : {};
  const kept = Object.fromEntries(["enabled", "overlap", "options", "start_at", "end_at", "jitter"].filter((key) => (before[key] ?? null) !== null).map((key) => [key, before[key]]));
  await request("PUT", addressOf(name), { ...kept, ...rest, input: values(inputFields()), ...(every ? { every: Number(every) } : {}) });
  say(`Schedule ${name} ${isEdited ? "saved" : "created"}.`, "ok");
  if (!isEdited) for (const id of ["name", "every", "cron"]) document.getElementById(id).value = "";
  describeTimes();
}

// Describes a cron line as text, with its next times, while the user types.
let requested = 0;
async function describeTimes() {
  const [cron, timezone] = [form.elements.cron.value.trim(), form.elements.timezone.value.trim()];
  const line = document.getElementById("schedule-times");
  const current = ++requested;
  if (!cron) return line.replaceChildren();
  const answer = await call(`${root}/ui/schedules/words?${new URLSearchParams({ cron, timezone })}`).then((response) => response.json()).catch(() => ({}));
  if (current !== requested) return;
  const next = answer.next?.map((each) => written(new Date(each), "")).join(" · ");
  line.textContent = answer.error ?? `${answer.words}, ${timezone}. Next: ${next}.`;
  line.classList.toggle("bad", Boolean(answer.error));
}

// Errors of the input are shown at its fields, other errors at the schedule's fields.
function markAll(errors) {
  const at = (part, name) => errors.filter(({ loc }) => (loc[0] === "input") === part).map(({ loc, msg }) => ({ loc: loc[0] === name ? loc.slice(1) : loc, msg }));
  mark(inputFields(), at(true, "input"));
  mark(when, at(false, "path"));
}

async function guarded(work) {
  markAll([]);
  try {
    await work();
    await renew("list");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { title, detail, errors = [] } = error.problem;
    say([`${title}.`, detail, ...errors.map(({ loc, msg }) => `${loc.join(" › ")}: ${msg}.`)].filter(Boolean).join(" "), "fail");
    markAll(errors);
  }
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-run], [data-pause], [data-delete]");
  if (button) guarded(() => act(button.dataset));
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(save);
});
let typed = null;
when?.addEventListener("input", ({ target }) => {
  if (target.name !== "cron" && target.name !== "timezone") return;
  clearTimeout(typed);
  typed = setTimeout(describeTimes, 300);
});
document.getElementById("task")?.addEventListener("change", ({ target }) => guarded(() => choose(target.value)));
if (form) {
  prepare();
  describeTimes();
}
follow(document.getElementById("list").dataset.live);
