// Saved views of the list, stored in this browser: each is a name with an address that has the filters.

import { element, icon } from "./common.js";

const box = document.getElementById("views");
const stored = () => JSON.parse(localStorage.getItem("views") ?? "[]");
const here = () => location.search.replace(/[?&]cursor=[^&]*/, "");

function store(views) {
  localStorage.setItem("views", JSON.stringify(views));
  show();
}

// The suggested name describes the filters; the row of chips shows it.
function nameOf(search) {
  const parts = [...new URLSearchParams(search)].map(([name, value]) => name === "q" ? `“${value}”` : name === "status" ? value : `${name} ${value}`);
  return parts.join(", ").slice(0, 80) || "All tasks";
}

function show() {
  const views = stored();
  box.hidden = !views.length;
  box.replaceChildren(...views.map((search) => {
    const remove = element("button", { type: "button", className: "icon", ariaLabel: `Remove the view ${nameOf(search)}` }, icon("x"));
    remove.addEventListener("click", () => store(stored().filter((each) => each !== search)));
    const link = element("a", { className: "chip", href: location.pathname + search }, nameOf(search));
    if (search === here()) link.setAttribute("aria-current", "page");
    return element("li", {}, link, remove);
  }));
  document.getElementById("save").hidden = views.includes(here());
}

document.getElementById("save").addEventListener("click", () => store([...stored(), here()].slice(-12)));
show();
