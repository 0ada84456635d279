// A task's form: what it holds, the samples that do the same, and what is wrong with it.

import { LANGUAGES } from "./samples.js";
import { Refused, element } from "./wire.js";

// The fields that count: a chosen file, a value that is required or not what it was at first.
export function filled(form) {
  const pairs = [];
  for (const field of form.elements) {
    if (!field.name || field.closest("[data-samples]")) continue;
    if (field.type === "file") for (const file of field.files) pairs.push([field.name, file]);
    else if (field.type === "checkbox") {
      if (field.checked) pairs.push([field.name, field.value]);
    } else if (field.value !== "" && (field.required || field.value !== initial(field))) pairs.push([field.name, field.value]);
  }
  return pairs;
}

function initial(field) {
  if (field.type !== "select-one") return field.defaultValue;
  return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0]).value;
}

// The address that a form is sent to, with how to run it.
export function target(form) {
  const url = new URL(form.dataset.submit ?? form.action, location.href);
  for (const field of form.querySelectorAll("[data-option]")) {
    const values = field.dataset.option === "tag" ? field.value.split(",").map((each) => each.trim()) : [field.value];
    values.filter(Boolean).forEach((value) => url.searchParams.append(field.dataset.option, value));
  }
  return url.href;
}

// The pairs of a sample: one file where each file is a task of its own, and a name where none is chosen yet.
export function samplePairs(form) {
  const each = form.querySelector("input[type=file][data-each]");
  let seen = false;
  const pairs = filled(form).filter(([name, value]) => typeof value === "string" || name !== each?.name || (!seen && (seen = true)));
  for (const field of form.querySelectorAll("input[type=file][required]")) {
    if (!field.files.length) pairs.unshift([field.name, { name: field.accept.startsWith("image/") ? "cat.jpg" : "file" }]);
  }
  return pairs;
}

export function badJson(form) {
  const errors = [];
  for (const field of form.querySelectorAll("textarea[data-json]")) {
    try {
      if (field.value) JSON.parse(field.value);
    } catch (error) {
      errors.push({ loc: [field.name], msg: `Not valid JSON: ${error.message}` });
    }
  }
  if (errors.length) throw new Refused({ title: "The input does not fit the schema", errors });
}

export function mark(form, errors) {
  for (const old of form.querySelectorAll(".wrong")) old.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.setAttribute("aria-describedby", `${field.id}.hint`);
  }
  let first = null;
  for (const { loc, msg } of errors) {
    const field = form.elements.namedItem(String(loc[0]));
    if (!(field instanceof HTMLElement)) continue;
    const id = `${field.id}.wrong`;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
    (field.type === "checkbox" ? field.closest("label") : field).after(element("p", { id, className: "wrong" }, msg));
    const fold = field.closest("details");
    if (fold) fold.open = true;
    first ??= field;
  }
  first?.focus();
}

// Without scripts an option that is chosen but disabled is left out of what a form posts.
export function free(form) {
  for (const option of form.querySelectorAll("option[value='']")) option.disabled = false;
}

// The fields as a JSON body has them.
export function values(form) {
  const read = (field) => {
    if ("json" in field.dataset) return JSON.parse(field.value);
    if (field.dataset.file) return { [field.dataset.file]: field.value };
    return field.type === "number" ? Number(field.value) : field.value;
  };
  const named = filled(form).map(([name]) => form.elements.namedItem(name));
  return Object.fromEntries(named.filter((field) => field.type !== "file").map((field) => [field.name, read(field)]));
}

// Every field against an earlier input: what was given before and is empty now is null.
export function changes(form, before) {
  const given = values(form);
  for (const field of form.elements) {
    if (!field.name || field.type === "file" || field.type === "radio" || field.closest("[data-samples]") || field.name in given) continue;
    if (!(field.name in before)) continue;
    if (field.type === "checkbox") given[field.name] = field.checked;
    else if (field.value === "") given[field.name] = null;
    else given[field.name] = "json" in field.dataset ? JSON.parse(field.value) : field.type === "number" ? Number(field.value) : field.value;
  }
  return given;
}

// Fills fields from an input; those that it does not name get their defaults back.
export function fill(form, input) {
  for (const field of form.elements) {
    if (!field.name || field.type === "file" || field.type === "radio" || field.closest("[data-samples]")) continue;
    const value = input[field.name];
    if (field.type === "checkbox") field.checked = value ?? field.defaultChecked;
    else if (value === undefined || value === null) field.value = initial(field);
    else if (field.dataset.file) field.value = value[field.dataset.file] ?? "";
    else field.value = typeof value === "object" || "json" in field.dataset && typeof value !== "string" ? JSON.stringify(value) : value;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

// Keeps the samples of a form true.
export function keepSamples(form, samples) {
  free(form);
  if (!samples) return () => {};
  const languages = samples.querySelector("fieldset");
  languages.hidden = false;
  const refresh = () => {
    const language = samples.querySelector("fieldset input:checked").value;
    samples.querySelector("pre").textContent = LANGUAGES[language]({ url: target(form), pairs: samplePairs(form) });
  };
  for (const radio of languages.querySelectorAll("input")) {
    radio.checked = radio.value === (localStorage.getItem("language") ?? "curl");
    radio.addEventListener("change", () => { localStorage.setItem("language", radio.value); refresh(); });
  }
  form.addEventListener("input", refresh);
  form.addEventListener("change", refresh);
  refresh();
  return refresh;
}
