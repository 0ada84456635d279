// Functions of every page: times in the reader's zone, updated ages, copy buttons, theme, keyboard.

import { root, span } from "./common.js";

const html = document.documentElement;
const two = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clock = new Intl.DateTimeFormat([], { ...two, second: "2-digit" });
const exact = new Intl.DateTimeFormat([], { ...two, second: "2-digit", fractionalSecondDigits: 3 });
const short = new Intl.DateTimeFormat([], two);
const dayly = new Intl.DateTimeFormat([], { ...two, weekday: "short" });
const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });
const longDay = new Intl.DateTimeFormat([], { day: "numeric", month: "short", year: "numeric" });

function named(moment) {
  const days = Math.round((new Date(moment).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / 864e5);
  const name = { 0: "", 1: "tomorrow, ", [-1]: "yesterday, " }[days];
  return `${name ?? `${day.format(moment)}, `}${clock.format(moment)}`;
}

export function written(moment, form) {
  if (form === "ago") return span(Math.max(0, Date.now() - moment) / 1000);
  if (form === "in") return moment <= Date.now() ? "now" : `in ${span((moment - Date.now()) / 1000)}`;
  if (form === "exact") return exact.format(moment);
  return form === "day" ? longDay.format(moment) : named(moment);
}

function write(time) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const text = written(moment, time.dataset.form);
  if (time.textContent !== text) time.textContent = text;
}

// Writes every time in the reader's zone, and every age anew.
export function localize(within = document) {
  for (const time of within.querySelectorAll("time[datetime]")) write(time);
  for (const mark of within.querySelectorAll("[data-moment]")) {
    const text = ("days" in mark.dataset ? dayly : short).format(Number(mark.dataset.moment)) + (mark.dataset.text ? `: ${mark.dataset.text}` : "");
    if (mark.textContent !== text) mark.textContent = text;
  }
  for (const cell of within.querySelectorAll("[data-since]")) {
    const text = span(Math.max(0, Date.now() - cell.dataset.since) / 1000);
    if (cell.textContent !== text) cell.textContent = text;
  }
}

function restoreSettings() {
  for (const input of document.querySelectorAll("input[data-set]")) {
    const name = input.dataset.set;
    input.checked = input.value === (html.dataset[name] ?? "");
    input.addEventListener("change", () => {
      if (input.value) localStorage.setItem(name, (html.dataset[name] = input.value));
      else {
        localStorage.removeItem(name);
        delete html.dataset[name];
      }
    });
  }
}

async function copy(button) {
  const { copy: source } = button.dataset;
  const element = source === "previous" ? button.parentElement.querySelector("pre, input") : document.getElementById(source);
  await navigator.clipboard.writeText((element.value ?? element.innerText).trim());
  const word = [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (word) {
    const before = word.data;
    word.data = "Copied";
    setTimeout(() => { word.data = before; }, 1500);
  } else {
    button.title = "Copied";
    button.classList.add("good");
    setTimeout(() => { button.title = ""; button.classList.remove("good"); }, 1500);
  }
}

// Single-key shortcuts: not while the reader types, and not if they are switched off.
const typing = (target) => target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
const PATHS = { t: "ui/tasks", h: "", f: "ui/failures", o: "ui/overview", s: "ui/schedules", k: "ui/keys" };
let prefix = 0;

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("keys") === "off") return;
  if (event.key === "Escape" && event.target.type === "search") return event.target.blur();
  if (typing(event.target)) return;
  const going = Date.now() - prefix < 1000;
  prefix = event.key === "g" ? Date.now() : 0;
  const address = going && event.key in PATHS && `${root}/${PATHS[event.key]}`;
  if (address && document.querySelector(`.nav a[href="${address}"]`)) return location.assign(address);
  const search = document.querySelector("input[type=search]");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?") document.getElementById("shortcuts")?.togglePopover();
  else document.dispatchEvent(new CustomEvent("key", { detail: event }));
}

// A page that reports an unreachable server or store reloads when it is back.
function recover(box) {
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer && answer.status < 500 && answer.status !== 429) location.reload();
  }, 1000 * box.dataset.recover);
}

restoreSettings();
localize();
setInterval(() => { if (!document.hidden) localize(); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) localize(); });
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("keydown", press);
document.addEventListener("input", ({ target }) => {
  if (target.matches?.(".compare input")) target.parentElement.style.setProperty("--cut", `${target.value}%`);
});
const off = document.getElementById("keys-off");
if (off) {
  off.checked = localStorage.getItem("keys") === "off";
  off.addEventListener("change", () => off.checked ? localStorage.setItem("keys", "off") : localStorage.removeItem("keys"));
}
const lost = document.querySelector("[data-recover]");
if (lost) recover(lost);
