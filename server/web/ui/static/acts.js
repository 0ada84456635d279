// What is done to tasks: to one, to those that are selected, to all that match a filter.

import { ask, say } from "./confirm.js";
import { call, number, plural, post, reason, root } from "./wire.js";

export const DONE_WORDS = { cancel: "canceled", retry: "retried", delete: "deleted" };
const AT_ONCE = 6;

export const fits = { cancel: (status) => !["succeeded", "failed", "canceled", "canceling"].includes(status), retry: (status) => ["failed", "canceled", "succeeded"].includes(status), delete: (status) => ["succeeded", "failed", "canceled"].includes(status) };

const QUESTIONS = {
  cancel: ["Cancel", "Waiting tasks never run. Running ones stop at their next progress report, or are killed after a grace time."],
  retry: ["Retry", "Each becomes a new task with the same input."],
  delete: ["Delete", "Their records and files are gone immediately and cannot be brought back."],
};

async function act(word, id) {
  if (word === "delete") return call(`${root}/tasks/${id}`, { method: "DELETE" });
  return (await post(`${root}/tasks/${id}/${word}`)).json();
}

export async function actOnOne(word, id, title) {
  const [verb, text] = QUESTIONS[word];
  const one = { cancel: text, retry: "A new task with the same input is made.", delete: "Its record and files are gone immediately and cannot be brought back." }[word];
  if (!await ask({ title: `${verb} this ${title}?`, text: one, choices: [{ label: `${verb} it`, value: true, danger: word !== "retry", primary: word === "retry" }] })) return;
  try {
    const answer = await act(word, id);
    if (word === "retry") location.assign(`${root}/ui/tasks/${answer.task_id}`);
    else if (word === "delete") location.assign(backTo());
    else say("The task is asked to stop.");
  } catch (error) {
    say(reason(error), "fail");
  }
}

// The list that the reader came from, with its filters.
export function backTo() {
  return sessionStorage.getItem("list") ?? `${root}/ui/tasks`;
}

// `tasks` are {id, status, kind, what}; only those that the act fits count. Tells `done` of each.
export const actOnMany = (word, tasks, done, place) => once(async () => {
  const some = tasks.filter(({ status }) => fits[word](status));
  const [verb, text] = QUESTIONS[word];
  const skipped = tasks.length - some.length;
  const rows = some.slice(0, 3).map(({ id, kind, what }) => [`…${id.slice(-8)}`, `${root}/ui/tasks/${id}`, `${kind} · ${what}`]);
  const choices = [{ label: `${verb} ${plural(some.length, "task")}`, value: "all", danger: word !== "retry", primary: word === "retry" }];
  if (word === "retry" && some.length > 1) choices.unshift({ label: "Retry one first", value: "one" });
  const title = `${verb} ${plural(some.length, "task")}?`;
  const answer = await ask({ title, text: `${skipped ? `${number(skipped)} of the selected are skipped. ` : ""}${text}`, sample: { caption: `Sample: ${rows.length} of ${number(some.length)}`, rows }, choices }, place);
  if (!answer) return;
  const wanted = answer === "one" ? some.slice(0, 1) : some;
  let [good, bad, why] = [0, 0, ""];
  const tell = (end = false) => say(`${number(good)} ${DONE_WORDS[word]}${bad ? `, ${number(bad)} not: ${why}` : ""}${end ? "" : ` of ${number(wanted.length)}…`}`, end ? (bad ? "fail" : "ok") : "");
  const waiting = [...wanted];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let task; (task = waiting.shift());) {
      try {
        await act(word, task.id);
        good += 1;
        done(task);
      } catch (error) {
        bad += 1;
        why = reason(error);
      }
      tell();
    }
  }));
  tell(true);
});

// The first tasks that an act on all would concern, for the last step to show.
const sampleOf = async (query, total) => {
  const { tasks } = await (await call(`${root}/tasks?${query}&limit=3`)).json();
  const rows = tasks.map(({ task_id: id, task, status, error }) => [`…${id.slice(-8)}`, `${root}/ui/tasks/${id}`, `${task} · ${error?.detail ?? status}`]);
  return { caption: `Sample: ${rows.length} of ${number(total)}`, rows, first: tasks[0]?.task_id };
};

// The statuses that an act concerns, of those that a query asks for.
function fitting(word, query) {
  const asked = new URLSearchParams(query);
  const statuses = (asked.get("status")?.split(",") ?? STATUSES).filter(fits[word]).filter((status) => word !== "retry" || asked.has("status") || status !== "succeeded");
  asked.set("status", statuses.join(","));
  return statuses.length ? asked.toString() : null;
}

const STATUSES = ["scheduled", "queued", "running", "retrying", "canceling", "succeeded", "failed", "canceled"];

// Of acts on many there is one at a time, so that none can be started twice.
let acting = false;
async function once(act) {
  if (acting) return;
  acting = true;
  const pressed = document.querySelectorAll("[data-act], [data-bulk], [data-on]");
  pressed.forEach((each) => each.setAttribute("aria-disabled", "true"));
  try {
    await act();
  } catch (error) {
    if (!error.problem) throw error;
    say(reason(error), "fail");
  } finally {
    acting = false;
    document.querySelectorAll("[aria-disabled]").forEach((each) => each.removeAttribute("aria-disabled"));
  }
}

// Everything that a query selects: how many and a sample first. One request does a limited number and says where to go on.
export const actOnAll = (word, query, words, place, typed = "") => once(async () => {
  const [verb, text] = QUESTIONS[word];
  const wanted = fitting(word, query);
  const { total } = wanted ? await (await call(`${root}/tasks/count?${wanted}`)).json() : { total: 0 };
  if (!total) return say(`There is no task to ${word}.`);
  const choices = [{ label: `${verb} ${plural(total, "task")}`, value: true, danger: word !== "retry", primary: word === "retry" }];
  const sample = await sampleOf(wanted, total);
  if (word === "retry" && total > 1) choices.unshift({ label: "Retry one first", value: "one" });
  const answer = await ask({ title: `${verb} ${plural(total, "task")} ${words}?`, text, sample, choices, typed }, place);
  if (!answer) return;
  if (answer === "one") {
    await act(word, sample.first);
    return say("1 retried", "ok");
  }
  let [done, refused, next] = [0, [], `${root}/bulk/${word}?${wanted}`];
  const tell = (end) => say(`${number(done)} ${DONE_WORDS[word]}${refused.length ? `, ${number(refused.length)} not: ${reason(refused[0])}` : ""}${end ? "" : ` of ${number(total)}…`}`, end ? (refused.length ? "fail" : "ok") : "");
  tell(false);
  try {
    while (next) {
      const answer = await (await call(next, { method: "POST" })).json();
      done += answer[DONE_WORDS[word]];
      refused = refused.concat(answer.refused);
      next = answer.next;
      tell(!next);
    }
  } catch (error) {
    say(`${number(done)} ${DONE_WORDS[word]}. Then: ${reason(error)}`, "fail");
  }
});
