// The docs: search, samples in three languages, and each task type's form runs in the page.

import { uncover } from "./page.js";
import { wire } from "./run.js";
import { translated } from "./samples.js";
import { search } from "./search.js";
import { credentials } from "./wire.js";

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

function translate(box) {
  const pre = box.querySelector("pre");
  const original = pre.textContent;
  box.querySelector("header").hidden = false;
  for (const radio of box.querySelectorAll("input")) radio.addEventListener("change", () => {
    pre.textContent = radio.value === "curl" ? original : translated(original, radio.value);
  });
}

const refreshers = [...document.querySelectorAll("#tasks form")].map((form) => wire(form, form.parentElement.querySelector("[data-samples]")));
document.querySelectorAll("[data-line]").forEach(translate);
const keyForm = document.getElementById("key");
if (keyForm) {
  keyForm.hidden = false;
  keyForm.addEventListener("submit", (event) => event.preventDefault());
  keyForm.addEventListener("input", () => {
    credentials.key = document.getElementById("api-key").value.trim();
    refreshers.forEach((refresh) => refresh());
  });
}
search(document.getElementById("q"), () => document.querySelectorAll("[data-find]"), document.getElementById("none"));
uncover();
addEventListener("hashchange", openTarget);
openTarget();
