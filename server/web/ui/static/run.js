// Runs a task's form in its page: a ticket for each file, upload progress, events, result. Without it, the form posts.

import { badJson, changes, choose, fill, filled, keepSamples, mark, target, values } from "./forms.js";
import { Stream } from "./live.js";
import { written } from "./page.js";
import { explained, resultOf } from "./results.js";
import { DONE, OTHER, Refused, SILENT, WORDS, button, call, credentials, element, icon, isOther, meter, notice, parsed, post, restate, root, sized, span, wait } from "./common.js";

// Seconds in which a task starts if a worker is free, and the maximum number of parallel uploads.
const START_TIMEOUT = 2;
const MAX_UPLOADS = 3;

// `fetch` does not report upload progress.
function send(form, body, sending, group) {
  return new Promise((resolve, reject) => {
    if (isOther()) throw new Refused(OTHER);
    const request = new XMLHttpRequest();
    const url = new URL(target(form));
    if (group) url.searchParams.append("tag", group);
    request.open("POST", url);
    if (credentials.key) request.setRequestHeader("Authorization", `Bearer ${credentials.key}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => sending(loaded, total));
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* an error that is not JSON */ }
      if (request.status < 300) resolve(answer);
      else reject(new Refused({ status: request.status, title: `The server answered ${request.status}`, ...answer }));
    });
    request.addEventListener("error", () => reject(new Refused(SILENT)));
    request.addEventListener("abort", () => reject(new Refused({ title: "Stopped", detail: "Nothing was submitted." })));
    sending.stop = () => request.abort();
    request.send(body);
  });
}

// One task of a form: a ticket, or a row if there are several files.
class Job {
  constructor(form, file, view) {
    Object.assign(this, { form, file, view, urls: [], status: null });
    this.title = file?.name ?? form.dataset.taskType;
    view.build(this);
  }

  async run(body) {
    const began = performance.now();
    const bytes = this.sentFiles(body).reduce((sum, file) => sum + file.size, 0);
    try {
      this.view.sending(this, 0, bytes);
      const sending = (loaded, total) => this.view.sending(this, Math.min(loaded, total), total);
      this.stop = () => sending.stop?.();
      const status = await this.submit(body, sending);
      this.uploaded = bytes ? { bytes, seconds: (performance.now() - began) / 1000 } : null;
      await this.follow(status);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.view.refused(this, error.problem);
      return error.problem;
    }
    return null;
  }

  async submit(body, sending) {
    const { retry, values: before } = this.form.dataset;
    // The earlier task's files are used again unless other files are chosen.
    if (retry && !this.sentFiles(body).length) return (await post(retry, { input: changes(this.form, JSON.parse(before)) })).json();
    return send(this.form, [...body.keys()].length ? body : null, sending, this.group);
  }

  sentFiles(body) {
    return this.file ? [this.file] : [...body.values()].filter((value) => value instanceof File && value.size);
  }

  async follow(status) {
    this.sent = this.file ? [this.file] : [...(this.form.elements)].filter((field) => field.type === "file").flatMap((field) => [...field.files]);
    this.report(status);
    if (status.status === "queued") this.checkForWorker();
    status = await this.listen(status);
    await this.view.ended(this, status);
  }

  report(status) {
    this.status = status;
    this.view.report(this, status);
  }

  // After a while, report that no worker is running.
  async checkForWorker() {
    await wait(START_TIMEOUT);
    if (this.status.status !== "queued") return;
    await call(`${root}/health/ready`).catch(({ problem }) => { this.idle = `${problem.detail} It waits until one is started.`; });
    this.report(this.status);
  }

  listen(status) {
    return new Promise((resolve, reject) => {
      const update = (changed) => {
        status = changed;
        this.report(status);
        if (DONE.includes(status.status)) {
          this.stream.close();
          resolve(status);
        }
      };
      this.stream = new Stream(status.links.events, {
        status: update,
        done: update,
        progress: (progress) => this.report(status = { ...status, progress }),
        open: () => this.report(status),
        gone: (problem) => reject(new Refused(problem)),
      });
    });
  }

  cancel() {
    if (!this.status) return this.stop?.();
    return call(this.status.links.cancel, { method: "POST" }).catch((error) => this.view.refused(this, error.problem));
  }

  dispose() {
    this.stream?.close();
    this.urls.forEach((url) => URL.revokeObjectURL(url));
  }
}

const pageOf = (id) => `${root}/ui/tasks/${id}`;
const linkable = () => !credentials.key;

function ticketNumber(id) {
  const short = id.slice(-7);
  return linkable() ? element("a", { className: "no", href: pageOf(id), title: id }, `Ticket ${short}`) : element("span", { className: "no", title: id }, `Ticket ${short}`);
}

function facts(job, status) {
  const { progress, queue } = status;
  const position = queue?.position > 1 ? `place ${queue.position} in the queue` : "";
  const idle = status.status === "queued" && job.idle;
  return [progress && `${progress.percent}%`, progress?.message, position, idle].filter(Boolean).join(" · ");
}

// The ticket of the first or only task.
const ticket = {
  build(job) {
    job.mark = element("span", { role: "status" });
    job.number = element("span", { className: "copyable push" });
    job.cancelButton = button("Cancel", { className: "btn small" });
    job.cancelButton.addEventListener("click", () => job.cancel());
    job.note = element("p", { className: "muted", hidden: true });
    job.bar = meter(0, "Progress");
    job.bar.classList.add("job");
    job.outcome = element("div", { className: "found", hidden: true });
    job.stepList = element("ul", { className: "steps", ariaLabel: "Steps", hidden: true });
    const title = element("h2", { className: "cut" }, job.title);
    job.box = element("article", { className: "ticket", tabIndex: -1, ariaLabel: `Ticket of ${job.title}` },
      element("div", { className: "stub" }, job.mark, title, job.number, job.cancelButton),
      element("div", { className: "body" }, job.note, job.bar, job.outcome, job.stepList));
    restate(job.mark, "queued", "Sending", { big: true });
  },
  sending(job, loaded, total) {
    job.bar.set(total ? loaded / total : 0, `${total ? Math.round(100 * loaded / total) : 0} percent sent`);
    job.note.hidden = !total;
    job.note.textContent = total ? `Uploading, ${sized(loaded)} of ${sized(total)}` : "";
  },
  report(job, status) {
    restate(job.mark, status.status, WORDS[status.status], { big: true });
    if (job.number.dataset.id !== status.task_id) {
      job.number.dataset.id = status.task_id;
      job.number.replaceChildren(ticketNumber(status.task_id));
    }
    const text = DONE.includes(status.status) ? "" : facts(job, status);
    job.note.hidden = !text;
    job.note.textContent = text;
    job.bar.toggleAttribute("hidden", DONE.includes(status.status));
    job.bar.set((status.progress?.percent ?? 0) / 100, `${status.progress?.percent ?? 0} percent done`);
    job.cancelButton.hidden = DONE.includes(status.status);
  },
  refused(job, problem) {
    restate(job.mark, "failed", job.status ? WORDS[job.status.status] : "Not submitted", { big: true });
    job.bar.setAttribute("hidden", "");
    job.note.hidden = true;
    job.cancelButton.hidden = true;
    job.outcome.hidden = false;
    job.outcome.replaceChildren(explained(problem));
  },
  async ended(job, status) {
    job.outcome.hidden = false;
    if (status.status === "failed") job.outcome.replaceChildren(explained({ title: "The task failed", error: status.error }));
    if (status.status === "canceled") job.outcome.replaceChildren(notice("", [status.error ? `${status.error.title}. ${status.error.detail}` : "It was canceled before it ended."]));
    if (status.status === "succeeded") job.outcome.replaceChildren(...await resultOf(status.links.result, job.sent, job.urls, status.task));
    this.steps(job, status);
  },
  steps(job, status) {
    const ms = (name) => Date.parse(status[name]);
    const steps = [];
    const add = (word, value) => steps.push(element("li", {}, icon("succeeded"), `${word} `, element("b", {}, value)));
    if (job.uploaded) add("Uploaded", `${sized(job.uploaded.bytes)} in ${span(job.uploaded.seconds)}`);
    if (status.started_at) add("Waited", span((ms("started_at") - ms("submitted_at")) / 1000));
    if (status.started_at && status.finished_at) add("Ran", span((ms("finished_at") - ms("started_at")) / 1000));
    if (status.expires_at) steps.push(element("li", { className: "push" }, "Kept until ", element("time", { dateTime: status.expires_at }, written(new Date(status.expires_at), ""))));
    job.stepList.replaceChildren(...steps);
    job.stepList.hidden = !steps.length;
  },
};

// A row among the tasks of several files.
const row = {
  build(job) {
    job.mark = element("span");
    job.text = element("span", { className: "muted" });
    job.number = element("span", { className: "small" }, element("span", { className: "muted" }, "no ticket yet"));
    job.cancelButton = button("Stop", { className: "btn small", ariaLabel: `Stop ${job.title}` });
    job.cancelButton.addEventListener("click", () => job.cancel());
    job.bar = meter(0, "not sent yet", true);
    job.box = element("li", {}, job.mark, element("span", { className: "cut" }, element("strong", {}, job.title), " ", job.text), job.number, job.cancelButton, job.bar);
    restate(job.mark, "queued", "Waiting to be sent", { silent: true });
  },
  sending(job, loaded, total) {
    job.bar.set(total ? loaded / total : 0, `${total ? Math.round(100 * loaded / total) : 0} percent sent`);
    job.text.textContent = `uploading, ${sized(loaded)} of ${sized(total)}`;
  },
  report(job, status) {
    restate(job.mark, status.status, WORDS[status.status], { silent: true });
    job.number.replaceChildren(ticketNumber(status.task_id));
    job.text.textContent = DONE.includes(status.status) ? WORDS[status.status].toLowerCase() : facts(job, status) || WORDS[status.status].toLowerCase();
    job.bar.classList.remove("plain");
    job.bar.set((status.progress?.percent ?? 0) / 100, `${status.progress?.percent ?? 0} percent done`);
    job.bar.toggleAttribute("hidden", DONE.includes(status.status));
    job.cancelButton.hidden = DONE.includes(status.status);
  },
  refused(job, problem) {
    restate(job.mark, "failed", "Failed", { silent: true });
    job.text.textContent = [problem.title, problem.detail].filter(Boolean).join(". ");
    job.bar.setAttribute("hidden", "");
    job.cancelButton.hidden = true;
  },
  async ended(job, status) {
    job.bar.setAttribute("hidden", "");
    if (status.status === "failed") job.text.textContent = status.error?.detail ?? "failed";
    if (status.status !== "succeeded") return;
    const { result } = await (await call(status.links.result, { headers: { Accept: "application/json" } })).json();
    const file = result?.href ? result : null;
    if (!file) return;
    job.text.textContent = `${sized(job.file.size)} → ${sized(file.bytes)}`;
    job.cancelButton.replaceWith(element("a", { className: "btn small", href: file.href, download: file.name, ariaLabel: `Download ${file.name}` }, icon("down"), "Download"));
  },
};

function jobsOf(form) {
  const each = form.querySelector("input[type=file][data-each]");
  const files = each ? [...each.files] : [];
  if (files.length < 2) return [new Job(form, files[0] ?? null, ticket)];
  // A common tag, so that the list of tasks shows them together.
  const group = `files-${Math.random().toString(36).slice(2, 10)}`;
  return files.map((file, at) => Object.assign(new Job(form, file, at ? row : ticket), { group }));
}

function bodyOf(form, job) {
  const each = form.querySelector("input[type=file][data-each]");
  const body = new FormData();
  for (const [name, value] of filled(form)) if (name !== each?.name || value === job.file) body.append(name, value);
  return body;
}

// The ticket replaces the form, scrolls into view and gets the focus; the form moves next to it.
function show(form, jobs) {
  form.jobs?.forEach((job) => job.dispose());
  form.jobs = jobs;
  form.out?.remove();
  const rows = jobs.slice(1).map((job) => job.box);
  form.out = element("div", { className: "outcome" }, jobs[0].box, rows.length ? element("ul", { className: "files block", ariaLabel: "Other files" }, ...rows) : null,
    rows.length && linkable() ? element("p", { className: "small after" }, element("a", { href: `${root}/ui/tasks?tag=${jobs[0].group}` }, `All ${jobs.length} in the list of tasks`)) : null);
  const runs = form.closest(".runs");
  if (runs) {
    runs.classList.add("ran");
    runs.prepend(form.out);
  } else form.after(form.out);
  jobs[0].box.focus({ preventScroll: true });
  const { top } = form.out.getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) form.out.scrollIntoView({ block: "start" });
}

// Other files make a new task, for which the server cannot put the stored secrets in place of their placeholders.
function needsSecret(form) {
  const files = [...form.elements].some((field) => field.type === "file" && field.files.length);
  const hidden = [...form.elements].filter((field) => field.name && field.value?.includes("**********"));
  if (!form.dataset.retry || !files || !hidden.length) return false;
  mark(form, hidden.map((field) => ({ loc: [field.name], msg: "Enter the secret again: other files make a new task" })));
  return true;
}

async function run(form) {
  const submit = form.querySelector("button:not([type])");
  if (submit.getAttribute("aria-busy") === "true") return;
  mark(form, []);
  try {
    badJson(form);
  } catch (error) {
    return mark(form, error.problem.errors);
  }
  if (needsSecret(form)) return;
  const secrets = [...form.querySelectorAll("input[type=password]")].map((field) => field.name);
  sessionStorage.setItem(`input:${form.dataset.taskType}`, JSON.stringify({ ...values(form), ...Object.fromEntries(secrets.map((name) => [name, undefined])) }));
  const jobs = jobsOf(form);
  const bodies = jobs.map((job) => bodyOf(form, job));
  show(form, jobs);
  submit.setAttribute("aria-busy", "true");
  const waiting = jobs.map((job, at) => [job, bodies[at]]);
  let first = true;
  const next = async () => {
    for (let pair; (pair = waiting.shift());) {
      const [job, body] = pair;
      const problem = await job.run(body);
      if (problem?.errors && first) {
        first = false;
        mark(form, problem.errors);
      }
    }
  };
  const running = Array.from({ length: MAX_UPLOADS }, next);
  // The form is enabled again once everything is submitted.
  while (jobs.some((job) => !job.status && job.cancelButton.isConnected && !job.cancelButton.hidden)) await wait(0.1);
  submit.removeAttribute("aria-busy");
  if (form.closest(".runs")) submit.textContent = "Run again";
  await Promise.all(running);
}

// Lists the chosen files, with buttons to add and remove files.
function listFiles(form) {
  const field = form.querySelector("input[type=file]");
  if (!field) return;
  const single = form.dataset.each !== "no" && form.querySelectorAll("input[type=file]").length === 1 && !field.multiple;
  if (single && field.required) Object.assign(field, { multiple: true }).dataset.each = "";
  const list = element("ul", { className: "files panel", hidden: true, ariaLabel: "Chosen files" });
  const hint = element("p", { className: "hint", hidden: true }, "One task per file.");
  field.after(list, hint);
  field.addEventListener("change", () => {
    const files = [...field.files];
    list.hidden = files.length < 2;
    hint.hidden = files.length < 2 || !("each" in field.dataset);
    list.replaceChildren(...files.map((file) => {
      const remove = element("button", { type: "button", className: "icon", ariaLabel: `Remove ${file.name}` }, icon("x"));
      remove.addEventListener("click", () => choose(field, files.filter((each) => each !== file)));
      return element("li", {}, icon("docs"), element("span", { className: "cut" }, element("strong", {}, file.name)), element("span", { className: "muted small num" }, sized(file.size)), remove);
    }));
  });
}

function usePresets(form) {
  const box = form.querySelector(".presets-of");
  if (!box) return;
  const chips = [...box.querySelectorAll("button")];
  const key = `input:${form.dataset.taskType}`;
  const last = sessionStorage.getItem(key);
  if (last) {
    const lastInput = button("My last input", { className: "chip", ariaPressed: "false", data: { values: last } });
    chips.push(lastInput);
    box.querySelector(".chips").append(lastInput);
  }
  for (const chip of chips) chip.addEventListener("click", () => {
    fill(form, parsed(chip.dataset.values));
    for (const each of chips) {
      each.setAttribute("aria-pressed", String(each === chip));
      each.classList.toggle("on", each === chip);
    }
  });
}

// Lets a task's form run in its page; returns a function that updates its samples.
export function enableForm(form, samples) {
  listFiles(form);
  usePresets(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(form);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  return keepSamples(form, samples);
}
