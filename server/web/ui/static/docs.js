// The docs: search, samples in three languages, and each task type's form runs in the page.

import { enableForm } from "./run.js";
import { ofCommand, translated } from "./samples.js";
import { search } from "./search.js";
import { Refused, button, call, credentials, element, sized } from "./common.js";

// The characters of an answer that are shown.
const MAX_SHOWN = 20_000;


function translate(box) {
  const pre = box.querySelector("pre");
  const original = pre.textContent;
  for (const radio of box.querySelectorAll("input")) radio.addEventListener("change", () => {
    pre.textContent = radio.value === "curl" ? original : translated(original, radio.value);
  });
}

// The answer as text: JSON in lines, other text as it is, anything else as its size.
async function shown(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (!/json|^text|xml/.test(type)) return `${sized((await answer.blob()).size)} of ${type}`;
  const text = await answer.text();
  const whole = type.includes("lines") || !type.includes("json") ? text : JSON.stringify(JSON.parse(text), null, 2);
  return whole.length > MAX_SHOWN ? `${whole.slice(0, MAX_SHOWN)}…` : whole;
}

// A form that sends the GET request of a sample with the viewer's session, and shows the answer.
function offerTry(box) {
  const path = element("input", { className: "in mono", ariaLabel: "Path", spellcheck: false, required: true, value: ofCommand(box.querySelector("pre").textContent).url.replace(/^https?:\/\/[^/]+/, "") });
  const answer = element("pre", { tabIndex: 0, role: "region", ariaLabel: "Answer" });
  const output = element("div", { className: "code", hidden: true }, answer);
  const form = element("form", { className: "acts try" }, path, button("Send", { type: "submit" }));
  path.addEventListener("input", () => path.setCustomValidity(""));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    path.setCustomValidity(/[<>]/.test(path.value) ? "Replace what stands in <angle brackets>." : path.value.startsWith("/") ? "" : "Begin with /.");
    if (!form.reportValidity()) return;
    output.hidden = false;
    try {
      const response = await call(path.value);
      answer.textContent = `${response.status}\n${await shown(response)}`;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      answer.textContent = `${error.problem.status ?? ""}\n${JSON.stringify(error.problem, null, 2)}`;
    }
  });
  box.after(form, output);
}

// An entry gets its functions when it is opened: to prepare all of them would lay out every hidden form of the page.
const refreshers = [];
const entries = new Set(document.querySelectorAll(".entry"));

function prepare(entry) {
  if (!entries.delete(entry)) return;
  const [form, box] = [entry.querySelector("form"), entry.querySelector("[data-samples]")];
  if (form) refreshers.push(enableForm(form, box));
  else translate(box);
  if ("try" in box.dataset) offerTry(box);
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  document.querySelectorAll(".entry[open]").forEach(prepare);
}

document.addEventListener("toggle", ({ target }) => prepare(target), true);
const keyForm = document.getElementById("key");
if (keyForm) {
  keyForm.addEventListener("submit", (event) => event.preventDefault());
  keyForm.addEventListener("input", () => {
    credentials.key = document.getElementById("api-key").value.trim();
    refreshers.forEach((refresh) => refresh());
  });
}
search(document.getElementById("q"), () => document.querySelectorAll("[data-find]"), document.getElementById("none"));
addEventListener("hashchange", openTarget);
openTarget();
