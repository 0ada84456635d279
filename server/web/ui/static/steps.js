// A list of objects (an image pipeline's operations), or a map of them by name, as fields instead of JSON. The form still
// sends the text area.

import { call, element, parsed, root as prefix } from "./common.js";

const resolved = (schema, root) => schema?.$ref ? { ...root.$defs[schema.$ref.split("/").at(-1)], ...schema, $ref: undefined } : schema;

const branch = (schema, root) => {
  const actual = resolved(schema, root);
  return resolved((actual.anyOf ?? [actual]).find((each) => resolved(each, root).type !== "null"), root);
};

// The first field of a map's entry is its name.
const NAME = { type: "string" };
const NAME_KEY = Symbol("name");

// The types of entries: `schemas` by the name in the header; `tag` is the field with that name, if there are several.
function shape(schema, root) {
  const actual = branch(schema, root);
  const keyed = actual.type === "object" && !actual.properties;
  const items = resolved(keyed ? Object.values(actual.patternProperties ?? {})[0] ?? actual.additionalProperties : actual.items, root);
  const tag = items?.discriminator?.propertyName;
  const schemas = tag ? items.oneOf.map((each) => resolved(each, root)) : items?.type === "object" && items.properties ? [items] : [];
  return schemas.length ? { tag, keyed, schemas: new Map(schemas.map((each) => [tag ? each.properties[tag].const : (each.title ?? "entry").toLowerCase(), each])) } : null;
}

let count = 0;

// One field of a step. Values other than scalars are edited as JSON.
function field(name, schema, root, value, needed, changed) {
  const actual = branch(schema, root);
  const id = `step-${++count}`;
  const choices = actual.enum ?? (actual.type === "boolean" ? [true, false] : null);
  const preset = resolved(schema, root).default;
  const start = value ?? preset;
  let input;
  if (choices) {
    const options = (needed ? [] : [""]).concat(choices).map((each) => element("option", { value: each === "" ? "" : JSON.stringify(each), selected: each === start }, each === "" ? "–" : String(each)));
    input = element("select", { id, className: "in" }, ...options);
  } else {
    const number = actual.type === "integer" || actual.type === "number";
    const shown = start === undefined || start === null ? "" : typeof start === "object" ? JSON.stringify(start) : start;
    input = element("input", { id, className: "in", type: number ? "number" : "text", value: shown, required: needed });
    if (number) Object.assign(input, { min: actual.minimum ?? "", max: actual.maximum ?? "", step: actual.type === "integer" ? 1 : "any" });
  }
  input.addEventListener("input", changed);
  // An optional value equal to the default is omitted, unless the input contained it.
  const read = () => {
    const current = written();
    return !needed && value === undefined && JSON.stringify(current) === JSON.stringify(preset) ? undefined : current;
  };
  const written = () => {
    if (input.value === "") return undefined;
    if (choices || actual.type === "integer" || actual.type === "number") return parsed(input.value);
    if (actual.type === "string") return input.value;
    try { return parsed(input.value); } catch { return input.value; }
  };
  return { name, read, box: element("div", { className: "field" }, element("label", { htmlFor: id }, name), input) };
}

class Steps {
  constructor(area, types, root) {
    Object.assign(this, { area, types, root, steps: [] });
    this.list = element("ol", { className: "steps-list" });
    const id = `${area.id}.add`;
    const names = [...types.schemas.keys()];
    this.choice = element("select", { id, className: "in pick", hidden: names.length === 1 }, ...names.map((each) => element("option", {}, each)));
    this.button = element("button", { type: "button", className: "btn" }, "Add");
    this.button.addEventListener("click", () => this.add(this.choice.value, {}, true));
    const label = names.length > 1 ? element("label", { htmlFor: id, className: "small muted" }, "Another step") : element("span", { className: "small muted" }, `Another ${names[0]}`);
    area.before(element("div", { className: "steps-editor" }, this.list, element("div", { className: "acts" }, label, this.choice, this.button)));
    const raw = element("details", {}, element("summary", {}, "As JSON"));
    area.before(raw);
    while (raw.nextSibling) raw.append(raw.nextSibling);
    area.addEventListener("change", () => this.read());
    this.read();
  }

  // Text that is not JSON is kept, and the server refuses it.
  read() {
    let input;
    try { input = parsed(this.area.value || "[]"); } catch { return; }
    const { tag, keyed, schemas } = this.types;
    this.steps = [];
    this.list.replaceChildren();
    const entries = keyed ? Object.entries(input).map(([name, each]) => ({ ...each, [NAME_KEY]: name })) : input;
    for (const each of entries) this.add(tag ? each[tag] : [...schemas.keys()][0], each);
  }

  add(type, value, focused = false) {
    const { tag, keyed, schemas } = this.types;
    const schema = schemas.get(type);
    if (!schema) return;
    const fields = Object.entries(schema.properties).filter(([name]) => name !== tag).map(([name, each]) =>
      field(name, each, this.root, value[name], schema.required?.includes(name), () => this.write()));
    const key = keyed ? field("name", NAME, this.root, value[NAME_KEY], true, () => this.write()) : null;
    const button = (label, action, act) => {
      const node = element("button", { type: "button", className: "btn quiet small", ariaLabel: `${action} ${type}` }, label);
      node.addEventListener("click", act);
      return node;
    };
    const step = { type, key, fields };
    step.box = element("li", {}, element("div", { className: "acts" }, element("b", {}, type), element("span", { className: "acts push" },
      button("Up", "Move up", () => this.move(step, -1)), button("Remove", "Remove", () => this.move(step, 0)))), element("div", { className: "fields" }, ...[key, ...fields].filter(Boolean).map((each) => each.box)));
    this.steps.push(step);
    this.list.append(step.box);
    this.write();
    if (focused) step.box.querySelector(fields.length || key ? "input, select" : "button").focus();
  }

  move(step, by) {
    const at = this.steps.indexOf(step);
    this.steps.splice(at, 1);
    if (by) this.steps.splice(Math.max(0, at + by), 0, step);
    this.list.replaceChildren(...this.steps.map((each) => each.box));
    this.write();
    (by ? step.box.querySelector("button") : this.button).focus();
  }

  write() {
    const { tag, keyed } = this.types;
    const entries = this.steps.map(({ type, fields }) => Object.fromEntries([...(tag ? [[tag, type]] : []), ...fields.map((each) => [each.name, each.read()])].filter(([, each]) => each !== undefined)));
    const value = keyed ? Object.fromEntries(this.steps.map(({ key }, at) => [key.read() ?? "", entries[at]])) : entries;
    this.area.value = JSON.stringify(value);
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

// Adds fields for each list of steps in a form. Without the catalog (no key), only the text area is shown.
export async function edit(form) {
  const areas = [...form.querySelectorAll("textarea[data-json]")];
  if (!areas.length) return;
  let schema;
  try {
    schema = (await (await call(`${prefix}/catalog/${form.dataset.taskType}`)).json()).input_schema;
  } catch {
    return;
  }
  for (const area of areas) {
    const types = shape(schema.properties[area.name], schema);
    if (types) new Steps(area, types, schema);
  }
}
