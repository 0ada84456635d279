// A task's form: its values, the samples that do the same, and its errors.

import { LANGUAGES } from "./samples.js";
import { Refused, element, parsed } from "./common.js";

// The fields to send: chosen files, required values, and changed values.
export function filled(form) {
  const pairs = [];
  for (const field of form.elements) {
    if (!field.name) continue;
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

// Puts files into a field, as if the reader had chosen them; only the first if it is for one.
export function choose(field, files) {
  const transfer = new DataTransfer();
  [...files].slice(0, field.multiple ? undefined : 1).forEach((file) => transfer.items.add(file));
  field.files = transfer.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

// The address of a submit, with the options in its query.
export function target(form) {
  const url = new URL(form.dataset.submit ?? form.action, location.href);
  for (const field of form.querySelectorAll("[data-option]")) {
    const values = field.dataset.option === "tag" ? field.value.split(",").map((each) => each.trim()) : [field.value];
    values.filter(Boolean).forEach((value) => url.searchParams.append(field.dataset.option, value));
  }
  return url.href;
}

// The fields of a sample: a single file if each file becomes a task, and a placeholder if none is chosen.
function samplePairs(form) {
  const each = form.querySelector("input[type=file][data-each]");
  let hasFile = false;
  const pairs = filled(form).filter(([name, value]) => typeof value === "string" || name !== each?.name || (!hasFile && (hasFile = true)));
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

// Without JavaScript, a browser does not post an option that is chosen but disabled.
export function free(form) {
  for (const option of form.querySelectorAll("option[value='']")) option.disabled = false;
}

function read(field) {
  const isLarge = field.type === "number" && /^-?[1-9]\d{15,}$/.test(field.value);
  if ("json" in field.dataset || isLarge) return parsed(field.value);
  if (field.dataset.file) return { [field.dataset.file]: field.value };
  return field.type === "number" ? Number(field.value) : field.value;
}

const inputs = (form) => [...form.elements].filter((field) => field.name && field.type !== "file");

// The values of a JSON body.
export function values(form) {
  const named = filled(form).map(([name]) => form.elements.namedItem(name));
  return Object.fromEntries(named.filter((field) => field.type !== "file").map((field) => [field.name, read(field)]));
}

// The changes against an earlier input: a value that is empty now is null.
export function changes(form, before) {
  const current = values(form);
  for (const field of inputs(form)) {
    if (field.name in current || !(field.name in before)) continue;
    if (field.type === "checkbox") current[field.name] = field.checked;
    else current[field.name] = field.value === "" ? null : read(field);
  }
  return current;
}

// Fills the fields from an input; fields that it does not name get their defaults.
export function fill(form, input) {
  for (const field of inputs(form)) {
    const value = input[field.name];
    if (field.type === "checkbox") field.checked = value ?? field.defaultChecked;
    else if (value === undefined || value === null) field.value = initial(field);
    else if (field.dataset.file) field.value = value[field.dataset.file] ?? "";
    else field.value = typeof value === "object" || "json" in field.dataset && typeof value !== "string" ? JSON.stringify(value) : value;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

// Updates the samples when the form changes.
export function keepSamples(form, samples) {
  free(form);
  if (!samples) return () => {};
  const languages = samples.querySelector("fieldset");
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
