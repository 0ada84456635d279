// Sends a task's form, follows the task by its events, and shows what it gave. Without this the form posts as it is.

import { badJson, filled, keepCommand, mark } from "./forms.js";
import { explain, folded, showResult } from "./results.js";
import { Refused, WORDS, call, credentials, element, passes, wait } from "./wire.js";

// Seconds in which a task begins where anybody is there to run it.
const PATIENCE = 2;

// The docs page's key is no session: there the id is no link.
const name = (id) => credentials.key ? id : element("a", { href: `/ui/tasks/${id}` }, id);

function report(ticket, status, trouble = "") {
  const { progress, queue } = status;
  ticket.status = status;
  ticket.state.textContent = WORDS[status.status] ?? status.status;
  const place = queue.position > 1 ? `place ${queue.position} in the queue` : "";
  const idle = status.status === "queued" && ticket.idle;
  const facts = status.done ? [] : [progress && `${progress.percent} %`, progress?.message, place, idle, trouble];
  ticket.more.replaceChildren(name(status.task_id), ...facts.filter(Boolean).map((fact) => ` · ${fact}`));
  ticket.bar.hidden = status.done || !progress;
  if (progress) Object.assign(ticket.bar, { max: 100, value: progress.percent });
  ticket.cancel.hidden = status.done;
}

// Who waits for long is told where there is nobody to wait for.
async function lookForWorker(ticket) {
  await wait(PATIENCE);
  if (ticket.status.status !== "queued" || !ticket.box.isConnected) return;
  await call("/health/ready").catch(({ problem }) => { ticket.idle = `${problem.detail} It waits until there is one.`; });
  report(ticket, ticket.status);
}

function newTicket(form) {
  form.ticket?.urls.forEach((url) => URL.revokeObjectURL(url));
  form.ticket?.box.remove();
  const box = document.getElementById("ticket").content.firstElementChild.cloneNode(true);
  form.after(box);
  const one = (selector) => box.querySelector(selector);
  form.ticket = { box, state: one(".state"), bar: one("progress"), more: one(".more"), cancel: one("button"), found: one(".found"), urls: [] };
  return form.ticket;
}

async function submit(form) {
  badJson(form);
  const pairs = filled(form);
  const body = new FormData();
  for (const [name, value] of pairs) body.append(name, value);
  return call(form.action, { method: "POST", ...(pairs.length ? { body } : {}) });
}

// Events, as long as they come: an `EventSource` cannot send a key, and a server that is full sends it away.
function listen(ticket, status) {
  return new Promise((resolve) => {
    const source = new EventSource(status.links.events);
    const stop = () => { source.close(); resolve(status); };
    const take = (event) => {
      if (!ticket.box.isConnected) return stop();
      status = JSON.parse(event.data);
      report(ticket, status);
      if (status.done) stop();
    };
    source.addEventListener("status", take);
    source.addEventListener("done", take);
    source.addEventListener("progress", (event) => {
      status = { ...status, progress: JSON.parse(event.data) };
      report(ticket, status);
    });
    source.addEventListener("error", stop);
  });
}

async function poll(ticket, status) {
  while (!status.done && ticket.box.isConnected) {
    let [pause, trouble] = [PATIENCE, ""];
    try {
      const response = await call(status.links.status);
      status = await response.json();
      pause = Number(response.headers.get("Retry-After")) || 1;
    } catch (error) {
      if (!passes(error.problem)) throw error;
      trouble = `${error.problem.title}. It is asked again.`;
    }
    report(ticket, status, trouble);
    if (!status.done) await wait(pause);
  }
  return status;
}

export async function follow(ticket, status, sent = []) {
  ticket.cancel.onclick = () => call(status.links.cancel, { method: "POST" }).catch((error) => explain(ticket, error.problem));
  report(ticket, status);
  if (status.status === "queued") lookForWorker(ticket);
  if (!credentials.key) status = await listen(ticket, status);
  status = await poll(ticket, status);
  if (status.status === "failed") {
    explain(ticket, { title: "The task failed", type: status.error.type, error: status.error });
    ticket.found.append(element("p", {}, name(status.task_id)));
  }
  if (status.status === "succeeded") await showResult(ticket, status.links.result, sent);
}

async function run(form) {
  const button = form.querySelector("button:not([type])");
  const ticket = newTicket(form);
  const sent = filled(form).map(([, value]) => value).filter((value) => value instanceof File);
  mark(form, []);
  ticket.state.textContent = "Sending";
  button.disabled = true;
  try {
    const response = await submit(form);
    const status = await response.json();
    button.disabled = false;
    ticket.found.append(folded(`${response.status}, the ticket`, status));
    await follow(ticket, status, sent);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    ticket.cancel.hidden = true;
    ticket.bar.hidden = true;
    explain(ticket, error.problem);
    mark(form, error.problem.errors ?? []);
  } finally {
    button.disabled = false;
  }
}

// Makes a form of a task run in its page; returns what brings the command beside it up to date.
export function wire(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(form);
  });
  return keepCommand(form);
}
