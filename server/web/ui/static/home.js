// The start page: dropped, pasted or chosen files go to a preset or a task type. A task type's page: its form runs.

import { choose, fill } from "./forms.js";
import { follow } from "./parts.js";
import { enableForm } from "./run.js";
import { search } from "./search.js";
import { edit } from "./steps.js";
import { element, icon, loaded, notice, parsed, plural, problemNodes, root, sized } from "./common.js";

const drop = document.getElementById("drop");

// `ready` is called as soon as a form works, before its lists are shown as fields.
async function enhance(within, ready = () => {}) {
  for (const form of within.querySelectorAll("form[data-task-type]")) {
    enableForm(form, within.querySelector("[data-samples]"));
    ready(form);
    await edit(form);
    if (form.dataset.values) {
      for (const field of form.querySelectorAll("input[type=file]")) field.required = false;
      fill(form, parsed(form.dataset.values));
    }
  }
  favorites(within);
}

// Returns whether a file matches a media range; a file without a type is matched by its name.
function isAccepted(accepts, file) {
  const types = { csv: "text/csv", tsv: "text/csv", txt: "text/plain", heic: "image/heic", heif: "image/heif" };
  const type = file.type || types[file.name.split(".").at(-1).toLowerCase()] || "application/octet-stream";
  return accepts.split(",").some((range) => range === "*/*" || range === type || (range.endsWith("/*") && type.startsWith(range.slice(0, -1))));
}

// Loads a task type's form from its own page.
async function open({ task, upload, values }, files, start) {
  const work = document.getElementById("work");
  work.hidden = false;
  let page;
  try {
    page = await loaded(`${root}/ui/run/${task}`);
  } catch (error) {
    return work.replaceChildren(notice("fail", problemNodes(error.problem), { role: "alert" }));
  }
  const content = document.adoptNode(page.getElementById("task"));
  const title = content.querySelector("h1");
  const heading = element("h2", { tabIndex: -1 }, title.textContent);
  title.replaceWith(heading);
  content.querySelector(".crumbs").remove();
  work.replaceChildren(content);
  await enhance(work, (form) => {
    choose(form.querySelector(`input[type=file][name="${upload}"]`), files);
  });
  const form = work.querySelector("form[data-task-type]");
  if (values) fill(form, parsed(values));
  work.scrollIntoView({ block: "start" });
  if (start) form.requestSubmit();
  else heading.focus({ preventScroll: true });
}

let chosen = [];

function offer(files) {
  chosen = [...files];
  if (!chosen.length) return;
  const all = (each) => chosen.every((file) => isAccepted(each.dataset.accepts, file));
  const presets = [...document.querySelectorAll(".preset")];
  const fitting = [...document.querySelectorAll(".groups a[data-accepts]")].filter(all);
  const named = fitting.filter((link) => !link.dataset.accepts.includes("*/*"));
  const title = document.getElementById("offered");
  const description = chosen.length === 1 ? `${chosen[0].name}, ${sized(chosen[0].size)}` : plural(chosen.length, "file");
  title.textContent = fitting.length ? `${description}: choose what to do` : `No task type accepts ${description}.`;
  const offers = document.getElementById("offers");
  offers.querySelector(".files").replaceChildren(...(chosen.length > 1 ? chosen.slice(0, 20) : []).map((file) => element("li", {}, icon("docs"), element("span", { className: "cut" }, file.name), element("span", { className: "muted small num" }, sized(file.size)), element("span"))));
  const chips = (named.length ? named : fitting).map((link) => {
    const chip = element("button", { type: "button", className: "chip", ariaPressed: "false" }, link.dataset.task);
    chip.addEventListener("click", () => {
      for (const each of chips) each.setAttribute("aria-pressed", String(each === chip));
      open(link.dataset, chosen, false);
    });
    return chip;
  });
  offers.querySelector(".chips").replaceChildren(...chips);
  document.querySelector(".presets").classList.toggle("ready", presets.some(all));
  document.getElementById("work").hidden = true;
  offers.hidden = false;
  title.focus();
}

// A preset without a file asks for one first.
function preset(each, field) {
  if (chosen.length && chosen.every((file) => isAccepted(each.dataset.accepts, file))) return open(each.dataset, chosen, true);
  field.accept = "image/*";
  field.addEventListener("change", () => open(each.dataset, chosen, true), { once: true });
  field.click();
}

function listen() {
  const [field, camera] = drop.querySelectorAll("input[type=file]");
  field.addEventListener("change", () => { offer(field.files); field.accept = ""; });
  camera.addEventListener("change", () => offer(camera.files));
  for (const each of document.querySelectorAll(".preset")) each.addEventListener("click", () => preset(each, field));
  receive(drop, offer);
}

// The whole page accepts files that are dropped or pasted.
function receive(area, accept) {
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files") || event.target.type === "file") return;
    event.preventDefault();
    area.classList.add("over");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) area.classList.remove("over"); });
  addEventListener("drop", (event) => {
    area.classList.remove("over");
    if (!event.dataTransfer.files.length || event.target.type === "file") return;
    event.preventDefault();
    accept(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    accept(event.clipboardData.files);
  });
}

const stored = () => JSON.parse(localStorage.getItem("favorites") ?? "[]");

function favorites(within) {
  for (const star of within.querySelectorAll("[data-favorite]")) {
    const { favorite } = star.dataset;
    const show = () => {
      const is = stored().includes(favorite);
      star.setAttribute("aria-pressed", String(is));
      star.lastElementChild.textContent = is ? "Favorite" : "Add to favorites";
    };
    star.addEventListener("click", () => {
      const others = stored().filter((each) => each !== favorite);
      localStorage.setItem("favorites", JSON.stringify(others.length < stored().length ? others : [...others, favorite].slice(-12)));
      show();
    });
    show();
  }
  const box = within.querySelector("#favorites");
  const names = stored().filter((name) => document.querySelector(`.groups a[data-task="${CSS.escape(name)}"]`));
  if (!box || !names.length) return;
  box.hidden = false;
  box.querySelector("ul").replaceChildren(...names.map((name) => element("li", {}, element("a", { className: "chip", href: `${root}/ui/run/${name}` }, icon("star"), name))));
}

enhance(document);
const recent = document.getElementById("recent");
if (recent) follow(recent.dataset.live);
const only = document.querySelector("form[data-task-type] input[type=file]");
const find = document.getElementById("q");
if (find) search(find, () => document.querySelectorAll(".groups [data-find]"), document.getElementById("none"));
if (drop) listen();
else if (only) receive(only, (files) => choose(only, files)); // on a task's own page they go into its field
