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
  if (word === "delete") return call(`/tasks/${id}`, { method: "DELETE" });
  return (await post(`/tasks/${id}/${word}`)).json();
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
export async function actOnMany(word, tasks, done, place) {
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
}

// One request does a limited number and says where to go on; the reader may stop in between.
export async function actOnAll(word, query, words, total) {
  const [verb, text] = QUESTIONS[word];
  const count = total === null ? "every task" : plural(total, "task");
  const title = `${verb} ${count} that match${total === 1 ? "es" : ""} ${words}?`;
  if (!await ask({ title, text, choices: [{ label: total === null ? `${verb} all` : `${verb} ${count}`, value: true, danger: true }] })) return;
  let [done, refused, next] = [0, [], `/bulk/${word}?${query}`];
  const tell = (end) => say(`${number(done)} ${DONE_WORDS[word]}${refused.length ? `, ${number(refused.length)} not: ${reason(refused[0])}` : ""}${end ? "" : "…"}`, end ? (refused.length ? "fail" : "ok") : "");
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
}
