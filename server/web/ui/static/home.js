// The home page: a file that is dropped is offered to the tasks that take it. A task's page: its form runs in place.

import { wire } from "./run.js";
import { edit } from "./steps.js";
import { call, element, parse, sized, spoken } from "./wire.js";

const drop = document.getElementById("drop");

function enhance(root) {
  for (const form of root.querySelectorAll("form.run")) {
    wire(form);
    edit(form);
    const button = form.querySelector(".copy");
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(form.querySelector("pre.command").textContent);
      button.textContent = "Copied";
    });
    form.addEventListener("input", () => { button.textContent = "Copy"; });
  }
}

// A media range against a file: what has no type of its own goes by its name.
function takes(accepts, file) {
  const type = file.type || (/\.(csv|tsv|txt)$/i.test(file.name) ? "text/csv" : "application/octet-stream");
  return accepts.split(",").some((range) => range === "*/*" || range === type || (range.endsWith("/*") && type.startsWith(range.slice(0, -1))));
}

// The form of a task is taken from its own page.
async function open(link, file) {
  const work = document.getElementById("work");
  work.hidden = false;
  let page;
  try {
    page = parse(await (await call(link.href)).text());
  } catch (error) {
    return work.replaceChildren(element("div", { className: "notice", role: "alert" }, ...spoken(error.problem)));
  }
  const task = document.adoptNode(page.getElementById("task"));
  const title = task.querySelector("h1");
  const heading = element("h2", { tabIndex: -1 }, title.textContent);
  title.replaceWith(heading);
  work.replaceChildren(task);
  enhance(work);
  const field = work.querySelector(`input[type=file][name="${link.dataset.upload}"]`);
  const given = new DataTransfer();
  given.items.add(file);
  field.files = given.files;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  heading.focus();
  heading.scrollIntoView({ block: "start" });
}

function offer(file) {
  const fitting = [...document.querySelectorAll("a[data-accepts]")].filter((link) => takes(link.dataset.accepts, file));
  const named = fitting.filter((link) => !link.dataset.accepts.includes("*/*"));
  const offers = document.getElementById("offers");
  const title = document.getElementById("offered");
  title.textContent = fitting.length ? `${file.name}, ${sized(file.size)}: what shall be done with it?` : `No task takes ${file.name}.`;
  const buttons = (named.length ? named : fitting).map((link) => {
    const button = element("button", { type: "button", className: "quiet" }, link.textContent);
    button.addEventListener("click", () => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      open(link, file);
    });
    return button;
  });
  offers.querySelector(".choices").replaceChildren(...buttons);
  document.getElementById("work").hidden = true;
  offers.hidden = false;
  title.focus();
}

function listen() {
  const field = document.getElementById("any-file");
  drop.hidden = false;
  field.addEventListener("change", () => { if (field.files[0]) offer(field.files[0]); });
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files") || event.target.type === "file") return;
    event.preventDefault();
    document.body.classList.add("dragged");
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dragged"); });
  addEventListener("drop", (event) => {
    document.body.classList.remove("dragged");
    const [file] = event.dataTransfer.files;
    if (!file || event.target.type === "file") return;
    event.preventDefault();
    offer(file);
  });
}

enhance(document);
if (drop) listen();
