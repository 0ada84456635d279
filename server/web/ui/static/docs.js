// The docs page: each task's form runs in the page, with the key that stands above.

import { wire } from "./run.js";
import { credentials } from "./wire.js";

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

const refreshers = [...document.querySelectorAll("#tasks form")].map(wire);
const keyForm = document.getElementById("key");
keyForm.hidden = false;
keyForm.addEventListener("submit", (event) => event.preventDefault());
keyForm.addEventListener("input", () => {
  credentials.key = document.getElementById("api-key").value.trim();
  refreshers.forEach((refresh) => refresh());
});
addEventListener("hashchange", openTarget);
openTarget();
