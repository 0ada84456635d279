// The confirmation of an action that is final or changes many tasks: it shows their number and a sample.

import { button, element, icon } from "./common.js";

const sampleTable = ({ caption, rows }) => element("table", { className: "cards" },
  element("caption", { className: "small muted" }, caption),
  element("tbody", {}, ...rows.map(([id, href, text]) => element("tr", {},
    element("th", { scope: "row" }, element("a", { className: "row mono", href }, id)), element("td", { className: "full" }, text)))));

// Resolves with the value of the pressed button, or null if the dialog is closed.
export function ask({ title, text = "", sample = null, choices, typed = "" }, container = document.getElementById("confirm")) {
  const before = document.activeElement;
  return new Promise((resolve) => {
    const field = typed ? element("input", { className: "in", id: "type-it", autocomplete: "off" }) : null;
    const close = (value) => {
      container.replaceChildren();
      document.removeEventListener("keydown", escape, true);
      if (value === null) before?.focus?.();
      resolve(value);
    };
    const escape = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close(null);
    };
    const buttons = choices.map(({ label, value, danger = false, primary = false }) => {
      const choice = button(label, { className: `btn${danger ? " danger last" : primary ? " primary" : ""}` });
      choice.addEventListener("click", () => {
        if (!field || field.value === typed) close(value);
        else field.focus();
      });
      return choice;
    });
    const closeButton = button("Close", { className: "btn quiet" });
    closeButton.addEventListener("click", () => close(null));
    const heading = element("h2", { tabIndex: -1 }, title);
    container.replaceChildren(element("div", { className: "confirm", role: "group", ariaLabel: title }, heading,
      text && element("p", {}, text),
      sample && sample.rows.length ? sampleTable(sample) : null,
      field && element("div", { className: "field typed" }, element("label", { htmlFor: "type-it" }, "Type ", element("span", { className: "mono" }, typed), " to confirm"), field),
      element("div", { className: "acts" }, ...buttons, closeButton)));
    document.addEventListener("keydown", escape, true);
    (field ?? heading).focus();
    container.scrollIntoView({ block: "nearest" });
  });
}

// Shows the result of an action in a line that screen readers announce.
export function say(text, level = "") {
  const line = document.getElementById("outcome");
  line.className = text ? `notice ${level} after` : "";
  line.replaceChildren(...(text ? [icon({ ok: "succeeded", fail: "failed" }[level] ?? "info"), text] : []));
}
