// Keeps an open page up to date: one event stream, and a notice while the connection is lost.

import { OTHER, SILENT, credentials, element, isOther, notice, passes, problemIn, problemNodes, wait } from "./common.js";

let trouble = null;

// Shows one notice at the top of the page, and removes it.
function complain(problem) {
  const text = problem ? `${problem.title} ${problem.detail ?? ""}` : "";
  if (text === (trouble?.dataset.text ?? "")) return;
  trouble?.remove();
  trouble = null;
  if (!problem) return;
  const parts = problemNodes(problem);
  if (passes(problem)) {
    const now = new Date();
    const time = element("time", { dateTime: now.toISOString(), title: `${now.toISOString().slice(0, 19).replace("T", " ")} UTC` }, now.toLocaleTimeString());
    parts.push(element("p", { className: "muted" }, "What you see is from ", time, ". It is updated as soon as the server answers."));
  }
  trouble = notice("fail", parts, { role: "alert", data: { text } });
  document.querySelector("main").prepend(trouble);
}

addEventListener("storage", () => {
  if (!isOther()) return;
  complain(OTHER);
  streams.forEach((stream) => stream.close());
});

const streams = new Set();

// Server-sent events by `fetch`, which can send a key and the last id, and pauses while the page is hidden.
export class Stream {
  constructor(path, handlers, last = "") {
    Object.assign(this, { path, handlers, last, closed: false, pause: 1 });
    streams.add(this);
    document.addEventListener("visibilitychange", () => this.update());
    addEventListener("pagehide", () => this.stop());
    addEventListener("pageshow", ({ persisted }) => { if (persisted) this.update(); });
    this.update();
  }

  update() {
    if (document.hidden) this.stop();
    else if (!this.closed && !this.running) this.run();
  }

  stop() {
    this.running?.abort();
    this.running = null;
  }

  close() {
    this.closed = true;
    this.stop();
  }

  async run() {
    if (isOther()) return;
    const running = (this.running = new AbortController());
    while (!this.closed && this.running === running) {
      try {
        await this.read(running);
        this.pause = 1;
      } catch (error) {
        if (error.name === "AbortError") return;
        const problem = error.problem ?? SILENT;
        complain(problem);
        if (!passes(problem)) {
          this.close();
          return this.handlers.gone?.(problem);
        }
        this.pause = Math.min(5, this.pause + 1);
      }
      await wait(this.pause);
    }
  }

  async read(running) {
    const headers = { Accept: "text/event-stream", ...(this.last ? { "Last-Event-ID": this.last } : {}) };
    if (credentials.key) headers.Authorization = `Bearer ${credentials.key}`;
    const answer = await fetch(this.path, { headers, signal: running.signal, cache: "no-store" });
    if (answer.status === 204) return this.close();
    if (!answer.ok) throw Object.assign(new Error(), { problem: await problemIn(answer) });
    if (answer.redirected) throw Object.assign(new Error(), { problem: { status: 401, title: "You are signed out", detail: "Your session has ended, or its key was revoked." } });
    complain(null);
    this.handlers.open?.();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      blocks.forEach((block) => this.handle(block));
    }
    if (this.running === running && !this.closed) this.handlers.lost?.();
  }

  handle(block) {
    let name = "message";
    const data = [];
    for (const line of block.split("\n")) {
      const at = line.indexOf(":");
      const [field, value] = at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
      if (field === "id") this.last = value;
      else if (field === "event") name = value;
      else if (field === "data") data.push(value);
      else if (field === "retry") this.pause = Number(value) / 1000;
    }
    if (data.length) this.handlers[name]?.(JSON.parse(data.join("\n")));
  }
}

const same = (one, other) => one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id ?? "") === (other.id ?? "");

// Makes an element equal to another one by changing only the differences: selection, focus, scroll and open details stay.
export function morph(old, updated) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== updated.data) old.data = updated.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE || old.matches("[data-keep]") || old.matches("time, [data-since], [data-moment]") && ["datetime", "data-since", "data-moment", "data-text"].every((name) => old.getAttribute(name) === updated.getAttribute(name))) return;
  for (const { name } of [...old.attributes]) if (!updated.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
  for (const { name, value } of updated.attributes) if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  const next = [...updated.childNodes];
  [...old.childNodes].slice(next.length).forEach((node) => node.remove());
  next.forEach((node, at) => {
    const child = old.childNodes[at];
    if (!child) old.append(document.importNode(node, true));
    else if (same(child, node)) morph(child, node);
    else child.replaceWith(document.importNode(node, true));
  });
}

// State that the reader has set, not the server.
const KEPT = new Set(["open", "hidden", "aria-pressed", "aria-selected"]);
