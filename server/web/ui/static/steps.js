// A list of objects (an image pipeline's operations), or a map of them by name, as fields instead of JSON. The form still
// sends the text area.

import { call, element, root as prefix } from "./wire.js";

const resolved = (schema, root) => schema?.$ref ? { ...root.$defs[schema.$ref.split("/").at(-1)], ...schema, $ref: undefined } : schema;

const branch = (schema, root) => {
  const own = resolved(schema, root);
  return resolved((own.anyOf ?? [own]).find((each) => resolved(each, root).type !== "null"), root);
};

// The first field of a map's entry is its name.
const NAME = { type: "string" };
const NAME_KEY = Symbol("name");

// The kinds of entries: `found` by the word in the header; `tag` is the field with that word, if there are several.
function shape(schema, root) {
  const own = branch(schema, root);
  const keyed = own.type === "object" && !own.properties;
  const items = resolved(keyed ? Object.values(own.patternProperties ?? {})[0] ?? own.additionalProperties : own.items, root);
  const tag = items?.discriminator?.propertyName;
  const found = tag ? items.oneOf.map((each) => resolved(each, root)) : items?.type === "object" && items.properties ? [items] : [];
  return found.length ? { tag, keyed, found: new Map(found.map((each) => [tag ? each.properties[tag].const : (each.title ?? "entry").toLowerCase(), each])) } : null;
}

let count = 0;

// One field of a step. Values other than scalars are edited as JSON.
function field(name, schema, root, value, needed, changed) {
  const own = branch(schema, root);
  const id = `step-${++count}`;
  const choices = own.enum ?? (own.type === "boolean" ? [true, false] : null);
  const preset = resolved(schema, root).default;
  const start = value ?? preset;
  let input;
  if (choices) {
    const options = (needed ? [] : [""]).concat(choices).map((each) => element("option", { value: each === "" ? "" : JSON.stringify(each), selected: each === start }, each === "" ? "–" : String(each)));
    input = element("select", { id, className: "in" }, ...options);
  } else {
    const number = own.type === "integer" || own.type === "number";
    const shown = start === undefined || start === null ? "" : typeof start === "object" ? JSON.stringify(start) : start;
    input = element("input", { id, className: "in", type: number ? "number" : "text", value: shown, required: needed });
    if (number) Object.assign(input, { min: own.minimum ?? "", max: own.maximum ?? "", step: own.type === "integer" ? 1 : "any" });
  }
  input.addEventListener("input", changed);
  // An optional value equal to the default is omitted, unless the input contained it.
  const read = () => {
    const found = written();
    return !needed && value === undefined && JSON.stringify(found) === JSON.stringify(preset) ? undefined : found;
  };
  const written = () => {
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
    this.list = element("ol", { className: "steps-list" });
    const id = `${area.id}.add`;
    const words = [...kinds.found.keys()];
    this.choice = element("select", { id, className: "in pick", hidden: words.length === 1 }, ...words.map((each) => element("option", {}, each)));
    this.button = element("button", { type: "button", className: "btn" }, "Add");
    this.button.addEventListener("click", () => this.add(this.choice.value, {}, true));
    const label = words.length > 1 ? element("label", { htmlFor: id, className: "small muted" }, "Another step") : element("span", { className: "small muted" }, `Another ${words[0]}`);
    area.before(element("div", { className: "steps-editor" }, this.list, element("div", { className: "acts" }, label, this.choice, this.button)));
    const raw = element("details", {}, element("summary", {}, "As JSON"));
    area.before(raw);
    while (raw.nextSibling) raw.append(raw.nextSibling);
    area.addEventListener("change", () => this.read());
    this.read();
  }

  // Text that is not JSON is kept, and the server refuses it.
  read() {
    let given;
    try { given = JSON.parse(this.area.value || "[]"); } catch { return; }
    const { tag, keyed, found } = this.kinds;
    this.steps = [];
    this.list.replaceChildren();
    const entries = keyed ? Object.entries(given).map(([name, each]) => ({ ...each, [NAME_KEY]: name })) : given;
    for (const each of entries) this.add(tag ? each[tag] : [...found.keys()][0], each);
  }

  add(kind, value, focused = false) {
    const { tag, keyed, found } = this.kinds;
    const schema = found.get(kind);
    if (!schema) return;
    const own = Object.entries(schema.properties).filter(([name]) => name !== tag).map(([name, each]) =>
      field(name, each, this.root, value[name], schema.required?.includes(name), () => this.write()));
    const key = keyed ? field("name", NAME, this.root, value[NAME_KEY], true, () => this.write()) : null;
    const button = (label, words, act) => {
      const made = element("button", { type: "button", className: "btn quiet small", ariaLabel: `${words} ${kind}` }, label);
      made.addEventListener("click", act);
      return made;
    };
    const step = { kind, key, fields: own };
    step.box = element("li", {}, element("div", { className: "acts" }, element("b", {}, kind), element("span", { className: "acts push" },
      button("Up", "Move up", () => this.move(step, -1)), button("Remove", "Remove", () => this.move(step, 0)))), element("div", { className: "fields" }, ...[key, ...own].filter(Boolean).map((each) => each.box)));
    this.steps.push(step);
    this.list.append(step.box);
    this.write();
    if (focused) step.box.querySelector(own.length || key ? "input, select" : "button").focus();
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
    const { tag, keyed } = this.kinds;
    const entries = this.steps.map(({ kind, fields }) => Object.fromEntries([...(tag ? [[tag, kind]] : []), ...fields.map((each) => [each.name, each.read()])].filter(([, each]) => each !== undefined)));
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
    schema = (await (await call(`${prefix}/catalog/${form.dataset.kind}`)).json()).input_schema;
  } catch {
    return;
  }
  for (const area of areas) {
    const kinds = shape(schema.properties[area.name], schema);
    if (kinds) new Steps(area, kinds, schema);
  }
}
