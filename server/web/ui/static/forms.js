// A task's form: what it says, the command that says the same, and what is wrong with it.

import { Refused, credentials, element } from "./wire.js";

// The fields that say something: a file that was chosen, a value that is needed or not what it was at first.
export function filled(form) {
  const pairs = [];
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === "file") for (const file of field.files) pairs.push([field.name, file]);
    else if (field.value !== "" && (field.required || field.value !== initial(field))) pairs.push([field.name, field.value]);
  }
  return pairs;
}

function initial(field) {
  if (field.type !== "select-one") return field.defaultValue;
  return ([...field.options].find((option) => option.defaultSelected) ?? field.options[0]).value;
}

const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export function command(form) {
  const pairs = filled(form);
  for (const field of form.elements) {
    if (field.type === "file" && field.required && !field.files.length) pairs.unshift([field.name, { name: field.accept.startsWith("image/") ? "cat.jpg" : "file" }]);
  }
  const parts = pairs.map(([name, value]) => {
    if (typeof value !== "string") return `-F ${quoted(`${name}=@${value.name}`)}`;
    return `${/^[@<]|;/.test(value) ? "--form-string" : "-F"} ${quoted(`${name}=${value}`)}`;
  });
  if (credentials.key) parts.unshift('-H "Authorization: Bearer $KEY"');
  return ["curl", ...(pairs.length ? parts : ["-X POST", ...parts]), form.action].join(" ");
}

export function badJson(form) {
  const errors = [];
  for (const field of form.querySelectorAll("[data-json]")) {
    try {
      if (field.value) JSON.parse(field.value);
    } catch (error) {
      errors.push({ loc: [field.name], msg: `This is no JSON: ${error.message}` });
    }
  }
  if (errors.length) throw new Refused({ title: "The input does not fit the schema", errors });
}

export function mark(form, errors) {
  for (const old of form.querySelectorAll(".wrong")) old.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
  let first = null;
  for (const { loc, msg } of errors) {
    const field = form.elements.namedItem(String(loc[0]));
    if (!(field instanceof HTMLElement)) continue;
    const id = `${field.id}.wrong`;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
    field.after(element("p", { id, className: "wrong" }, msg));
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

// What the fields say as a JSON body has it.
export function values(form) {
  const read = (field) => {
    if ("json" in field.dataset) return JSON.parse(field.value);
    if (field.dataset.file) return { [field.dataset.file]: field.value };
    return field.type === "number" ? Number(field.value) : field.value;
  };
  return Object.fromEntries(filled(form).map(([name]) => [name, read(form.elements.namedItem(name))]));
}

// Keeps the command beside a form true.
export function keepCommand(form) {
  free(form);
  const refresh = () => { form.querySelector("pre.command").textContent = command(form); };
  form.addEventListener("input", refresh);
  return refresh;
}
