// What is done to tasks: to the one whose page it is, to those that are selected, to all that match a filter.

import { refresh } from "./live.js";
import { call } from "./wire.js";

const DONE = { cancel: "canceled", retry: "retried", delete: "deleted" };
const said = document.getElementById("said");
const bulk = document.getElementById("bulk");

const picked = () => [...document.querySelectorAll("tbody .pick input:checked")];
const why = ({ problem }) => [problem.title, problem.detail].filter(Boolean).join(". ");

function count() {
  const acts = document.getElementById("acts");
  if (!acts) return;
  acts.hidden = !picked().length;
  if (bulk) bulk.hidden = !acts.hidden;
  acts.firstElementChild.textContent = `${picked().length} selected`;
}

async function act(word, id) {
  const response = word === "delete" ? await call(`/tasks/${id}`, { method: "DELETE" }) : await call(`/tasks/${id}/${word}`, { method: "POST" });
  return word === "delete" ? null : response.json();
}

async function actOnOne(word, id) {
  if (word === "delete" && !confirm("Delete this task with its files?")) return;
  try {
    const answer = await act(word, id);
    if (word === "cancel") return refresh();
    location.assign(word === "retry" ? `/ui/tasks/${answer.task_id}` : "/ui/tasks");
  } catch (error) {
    said.textContent = why(error);
  }
}

function tell(word, number, refused, reason) {
  said.textContent = `${number} ${DONE[word]}${refused ? `, ${refused} not: ${reason}` : ""}`;
}

async function actOnPicked(word) {
  const boxes = picked();
  if (word === "delete" && !confirm(`Delete ${boxes.length} tasks with their files?`)) return;
  let failed = 0;
  let reason = "";
  await Promise.all(boxes.map(async (box) => {
    try {
      await act(word, box.value);
      box.checked = false;
    } catch (error) {
      failed += 1;
      reason = why(error);
    }
  }));
  tell(word, boxes.length - failed, failed, reason);
  count();
  refresh();
}

// One request takes so many at most and says where to go on.
async function actOnAll(word) {
  if (!confirm(`${word === "cancel" ? "Cancel" : "Retry"} every task that matches: ${bulk.dataset.words}?`)) return;
  let number = 0;
  let refused = [];
  try {
    for (let next = `/bulk/${word}?${bulk.dataset.query}`; next;) {
      const answer = await (await call(next, { method: "POST" })).json();
      number += answer[DONE[word]];
      refused = refused.concat(answer.refused);
      next = answer.next;
      tell(word, number, refused.length, refused.length && why(refused[0]));
      refresh();
    }
  } catch (error) {
    said.textContent = `${number} ${DONE[word]}. Then: ${why(error)}`;
  }
}

function enhance() {
  for (const each of document.querySelectorAll(".acts.one")) each.hidden = false;
  if (document.getElementById("acts")) for (const box of document.querySelectorAll(".pick input")) box.hidden = false;
  count();
}

document.addEventListener("click", ({ target: { dataset } }) => {
  if (dataset?.bulk) actOnAll(dataset.bulk);
  else if (dataset?.act) dataset.id ? actOnOne(dataset.act, dataset.id) : actOnPicked(dataset.act);
});
document.addEventListener("change", ({ target }) => {
  if (target.id === "all") for (const box of document.querySelectorAll("tbody .pick input")) box.checked = target.checked;
  if (target.closest(".pick")) count();
});
document.addEventListener("renewed", enhance);
enhance();
