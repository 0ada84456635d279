// A list of steps (an image pipeline's operations) as fields instead of JSON: the text area stays what is sent.

import { call, element } from "./wire.js";

const resolved = (schema, root) => schema?.$ref ? { ...root.$defs[schema.$ref.split("/").at(-1)], ...schema, $ref: undefined } : schema;

// The alternatives of a list's items that are told apart by one constant, such as `op`.
function alternatives(schema, root) {
  const items = resolved(schema?.items, root);
  const name = items?.discriminator?.propertyName;
  const found = (items?.oneOf ?? []).map((each) => resolved(each, root));
  return name && found.length ? { name, found: new Map(found.map((each) => [each.properties[name].const, each])) } : null;
}

const branch = (schema, root) => {
  const own = resolved(schema, root);
  return resolved((own.anyOf ?? [own]).find((each) => resolved(each, root).type !== "null"), root);
};

let count = 0;

// One field of a step. What is no single value stays JSON.
function field(name, schema, root, value, needed, changed) {
  const own = branch(schema, root);
  const id = `step-${++count}`;
  const choices = own.enum ?? (own.type === "boolean" ? [true, false] : null);
  const start = value ?? schema.default ?? resolved(schema, root).default;
  let input;
  if (choices) {
    const options = (needed ? [] : [""]).concat(choices).map((each) => element("option", { value: each === "" ? "" : JSON.stringify(each), selected: each === start }, each === "" ? "–" : String(each)));
    input = element("select", { id }, ...options);
  } else {
    const number = own.type === "integer" || own.type === "number";
    const shown = start === undefined || start === null ? "" : typeof start === "object" ? JSON.stringify(start) : start;
    input = element("input", { id, type: number ? "number" : "text", value: shown, required: needed });
    if (number) Object.assign(input, { min: own.minimum ?? "", max: own.maximum ?? "", step: own.type === "integer" ? 1 : "any" });
  }
  input.addEventListener("input", changed);
  const read = () => {
    if (input.value === "") return undefined;
    if (choices || own.type === "integer" || own.type === "number") return JSON.parse(input.value);
    if (own.type === "string") return input.value;
    try { return JSON.parse(input.value); } catch { return input.value; }
  };
  return { name, read, box: element("div", { className: "field" }, element("label", { htmlFor: id }, name), input) };
}

class Steps {
  constructor(area, kinds, root) {
    Object.assign(this, { area, kinds, root, steps: [] });
    this.list = element("ol", { className: "list" });
    const id = `${area.id}.add`;
    this.choice = element("select", { id }, ...[...kinds.found.keys()].map((each) => element("option", {}, each)));
    const add = element("button", { type: "button", className: "quiet" }, "Add");
    add.addEventListener("click", () => this.add({ [kinds.name]: this.choice.value }, true));
    const more = element("div", { className: "add" }, element("label", { htmlFor: id }, "Another step"), this.choice, add);
    area.before(element("div", { className: "steps-editor" }, this.list, more));
    const raw = element("details", {}, element("summary", {}, "As JSON"));
    area.before(raw);
    while (raw.nextSibling) raw.append(raw.nextSibling);
    try { JSON.parse(area.value || "[]").forEach((each) => this.add(each)); } catch { /* what is no JSON stays as text */ }
  }

  add(value, focused = false) {
    const kind = value[this.kinds.name];
    const schema = this.kinds.found.get(kind);
    if (!schema) return;
    const fields = Object.entries(schema.properties).filter(([name]) => name !== this.kinds.name).map(([name, each]) =>
      field(name, each, this.root, value[name], schema.required?.includes(name), () => this.write()));
    const button = (label, words, act) => {
      const made = element("button", { type: "button", className: "plain", ariaLabel: `${words} ${kind}` }, label);
      made.addEventListener("click", act);
      return made;
    };
    const step = { kind, fields };
    const box = element("li", {}, element("div", { className: "head" }, element("b", {}, kind),
      button("Up", "Move up", () => this.move(step, -1)), button("Remove", "Remove", () => this.move(step, 0))), ...fields.map((each) => each.box));
    step.box = box;
    this.steps.push(step);
    this.list.append(box);
    this.write();
    if (focused) box.querySelector("input, select, button").focus();
  }

  move(step, by) {
    const at = this.steps.indexOf(step);
    this.steps.splice(at, 1);
    if (by) this.steps.splice(Math.max(0, at + by), 0, step);
    this.list.replaceChildren(...this.steps.map((each) => each.box));
    this.write();
    (by ? step.box.querySelector("button") : this.choice).focus();
  }

  write() {
    const value = this.steps.map(({ kind, fields }) => Object.fromEntries([[this.kinds.name, kind], ...fields.map((each) => [each.name, each.read()])].filter(([, each]) => each !== undefined)));
    this.area.value = JSON.stringify(value);
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

// Gives each list of steps in a form its fields. Without the catalogue (no key) the text area does.
export async function edit(form) {
  const areas = [...form.querySelectorAll("textarea[data-json]")];
  if (!areas.length) return;
  let schema;
  try {
    schema = (await (await call(`/catalog/${form.dataset.kind}`)).json()).input_schema;
  } catch {
    return;
  }
  for (const area of areas) {
    const kinds = alternatives(schema.properties[area.name], schema);
    if (kinds) new Steps(area, kinds, schema);
  }
}
