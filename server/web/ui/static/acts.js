// Actions on tasks: on one, on the selected ones, on all that match a filter.

import { ask, say } from "./confirm.js";
import { DONE, call, number, plural, post, reason, root } from "./common.js";

const PAST_TENSE = { cancel: "canceled", retry: "retried", delete: "deleted" };
const PARALLEL = 6;

// The tasks that an action changes, by status. One that has been retried already is retried from its own page only.
export const fits = {
  cancel: ({ status }) => status !== "canceling" && !DONE.includes(status),
  retry: ({ status, retried }) => DONE.includes(status) && !retried,
  delete: ({ status }) => DONE.includes(status),
};

const QUESTIONS = {
  cancel: ["Cancel", "Waiting tasks never run. Running ones stop at their next progress report, or are killed after a grace time."],
  retry: ["Retry", "Each becomes a new task with the same input."],
  delete: ["Delete", "Their records and files are gone immediately and cannot be brought back."],
};

async function act(word, id, again = false) {
  if (word === "delete") return call(`${root}/tasks/${id}`, { method: "DELETE" });
  return (await post(`${root}/tasks/${id}/${word}${again ? "?again=true" : ""}`)).json();
}

// The last step of an action; a retry of many may begin with one.
const step = (word, label) => ({ label, value: true, danger: word !== "retry", primary: word === "retry" });
function stepsOf(word, count) {
  const all = step(word, `${QUESTIONS[word][0]} ${plural(count, "task")}`);
  return word === "retry" && count > 1 ? [{ label: "Retry one first", value: "one" }, all] : [all];
}

// Pairs of an id and a text, as rows of the question.
const sampleOf = (pairs, total) => ({
  caption: `Sample: ${pairs.length} of ${number(total)}`,
  rows: pairs.map(([id, text]) => [`…${id.slice(-8)}`, `${root}/ui/tasks/${id}`, text]),
});

// Shows the progress of an action, or its result: then without a total.
function showProgress(word, done, refused, refusal, total = null) {
  const text = `${number(done)} ${PAST_TENSE[word]}${refused ? `, ${number(refused)} not: ${refusal}` : ""}`;
  if (total === null) say(text, refused ? "fail" : "ok");
  else say(`${text} of ${number(total)}…`);
}

// `retried`: the task has been retried already, so that another retry is asked for by name.
export const actOnOne = (word, id, title, retried = false) => once(async () => {
  const [verb, text] = QUESTIONS[word];
  const again = word === "retry" && retried;
  const one = { cancel: text, retry: `${again ? "It was retried already. Another" : "A"} new task with the same input is made.`, delete: "Its record and files are gone immediately and cannot be brought back." }[word];
  if (!await ask({ title: `${verb} this ${title}${again ? " again" : ""}?`, text: one, choices: [step(word, `${verb} it${again ? " again" : ""}`)] })) return;
  const answer = await act(word, id, again).catch(newTask);
  if (word === "retry") location.assign(`${root}/ui/tasks/${answer.task_id}`);
  else if (word === "delete") location.assign(backTo());
  else say("The task is asked to stop.");
});

// All tasks of a batch that the button's action can change.
export const actOnBatch = (button, id) => once(async () => {
  const { on: word, count } = button.dataset;
  const [verb, text] = QUESTIONS[word];
  const label = `${verb} ${plural(Number(count), "task")}`;
  if (!await ask({ title: `${label} of this batch?`, text, choices: [step(word, label)] })) return;
  const { retried, refused = [], more } = await (await post(`${root}/batches/${id}/${word}`)).json();
  button.remove();
  if (word === "cancel") return say(`${plural(Number(count), "task")} asked to stop.`, "ok");
  const not = refused.length ? `, ${number(refused.length)} not: ${reason(refused[0])}` : "";
  say(`${number(retried)} retried${not}${more ? ". Not all fit into the queue: retry the rest later" : ""}`, not || more ? "fail" : "ok");
});

// Someone has retried the task since this page was loaded: the problem names the new task.
function newTask(error) {
  if (!error.problem?.type?.endsWith("already-retried")) throw error;
  return error.problem;
}

// The list that the reader came from, with its filters.
export function backTo() {
  return sessionStorage.getItem("list") ?? `${root}/ui/tasks`;
}

// `tasks` are {id, status, taskType, what}; those that the action cannot change are skipped. Calls `done` for each.
export const actOnMany = (word, tasks, done, container) => once(async () => {
  const some = tasks.filter(fits[word]);
  const [verb, text] = QUESTIONS[word];
  const skipped = tasks.length - some.length;
  const sample = sampleOf(some.slice(0, 3).map(({ id, taskType, what }) => [id, `${taskType} · ${what}`]), some.length);
  const title = `${verb} ${plural(some.length, "task")}?`;
  const answer = await ask({ title, text: `${skipped ? `${number(skipped)} of the selected are skipped. ` : ""}${text}`, sample, choices: stepsOf(word, some.length) }, container);
  if (!answer) return;
  const wanted = answer === "one" ? some.slice(0, 1) : some;
  let [succeeded, failed, refusal] = [0, 0, ""];
  const waiting = [...wanted];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let task; (task = waiting.shift());) {
      try {
        await act(word, task.id);
        succeeded += 1;
        done(task);
      } catch (error) {
        failed += 1;
        refusal = reason(error);
      }
      showProgress(word, succeeded, failed, refusal, wanted.length);
    }
  }));
  showProgress(word, succeeded, failed, refusal);
});

// One action runs at a time, so that none can be started twice.
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

// Everything that a query selects: a dry run returns how many, with a sample. One request changes a limited number and
// returns the address of the next one. It may be repeated after a broken connection: it changes no task twice.
export const actOnAll = (word, query, description, container, typed = "") => once(async () => {
  const [verb, text] = QUESTIONS[word];
  const address = `${root}/bulk/${word}?${query}`;
  const { matching: total, already_retried: before = 0, sample } = await (await post(`${address}&dry_run=true`)).json();
  const [was, is] = before === 1 ? ["was", "is"] : ["were", "are"];
  if (!total) return say(before ? `There is no task to retry: ${number(before)} ${was} retried already.` : `There is no task to ${word}.`);
  const rows = sampleOf(sample.map(({ task_id: id, task, status, error }) => [id, `${task} · ${error?.detail ?? status}`]), total);
  const skipped = `${number(before)} of the ${number(total + before)} ${was} retried already and ${is} skipped. The rest become new tasks with the same input.`;
  const answer = await ask({ title: `${verb} ${plural(total, "task")} ${description}?`, text: before ? skipped : text, sample: rows, choices: stepsOf(word, total), typed }, container);
  if (!answer) return;
  if (answer === "one") {
    await act(word, sample[0].task_id);
    return say("1 retried", "ok");
  }
  let [done, refused, next] = [0, [], address];
  const report = () => showProgress(word, done, refused.length, refused.length && reason(refused[0]), next && total);
  report();
  try {
    while (next) {
      const answer = await (await post(next)).json();
      done += answer[PAST_TENSE[word]];
      refused = refused.concat(answer.refused);
      next = answer.next;
      report();
    }
  } catch (error) {
    say(`${number(done)} ${PAST_TENSE[word]}. Then: ${reason(error)} Start again for the rest: no task is ${PAST_TENSE[word]} twice.`, "fail");
  }
});
