// The confirmation of an action that is final or changes many tasks: it shows their number and a sample.

import { button, element, icon } from "./wire.js";

const sampleTable = ({ caption, rows }) => element("table", { className: "cards" },
  element("caption", { className: "small muted" }, caption),
  element("tbody", {}, ...rows.map(([id, href, text]) => element("tr", {},
    element("th", { scope: "row" }, element("a", { className: "row mono", href }, id)), element("td", { className: "full" }, text)))));

// Resolves with the value of the pressed button, or null if the dialog is closed.
export function ask({ title, text = "", sample = null, choices, typed = "" }, place = document.getElementById("confirm")) {
  const before = document.activeElement;
  return new Promise((resolve) => {
    const field = typed ? element("input", { className: "in", id: "type-it", autocomplete: "off" }) : null;
    const leave = (value) => {
      place.replaceChildren();
      document.removeEventListener("keydown", escape, true);
      if (value === null) before?.focus?.();
      resolve(value);
    };
    const escape = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      leave(null);
    };
    const buttons = choices.map(({ label, value, danger = false, primary = false }) => {
      const made = button(label, { className: `btn${danger ? " danger last" : primary ? " primary" : ""}` });
      made.addEventListener("click", () => {
        if (!field || field.value === typed) leave(value);
        else field.focus();
      });
      return made;
    });
    const keep = button("Close", { className: "btn quiet" });
    keep.addEventListener("click", () => leave(null));
    const heading = element("h2", { tabIndex: -1 }, title);
    place.replaceChildren(element("div", { className: "confirm", role: "group", ariaLabel: title }, heading,
      text && element("p", {}, text),
      sample && sample.rows.length ? sampleTable(sample) : null,
      field && element("div", { className: "field typed" }, element("label", { htmlFor: "type-it" }, "Type ", element("span", { className: "mono" }, typed), " to confirm"), field),
      element("div", { className: "acts" }, ...buttons, keep)));
    document.addEventListener("keydown", escape, true);
    (field ?? heading).focus();
    place.scrollIntoView({ block: "nearest" });
  });
}

// Shows the result of an action in a line that screen readers announce.
export function say(text, level = "") {
  const said = document.getElementById("said");
  said.className = text ? `notice ${level} after` : "";
  said.replaceChildren(...(text ? [icon({ ok: "succeeded", fail: "failed" }[level] ?? "info"), text] : []));
}
