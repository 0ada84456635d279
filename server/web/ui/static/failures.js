// Failures: search, and actions on exactly one group.

import { actOnAll } from "./acts.js";
import { follow } from "./parts.js";
import { search } from "./search.js";

const groups = document.getElementById("groups");
const filter = search(document.getElementById("q"), () => document.querySelectorAll("[data-find]"), document.getElementById("none"));

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-on]");
  if (!button) return;
  const box = button.closest("article");
  const status = { retry: "failed", cancel: "retrying" }[button.dataset.on];
  actOnAll(button.dataset.on, `${box.dataset.query}&status=${status}`, `that failed with ${box.dataset.cause}`, box.querySelector(".place-confirm"));
});
follow(groups.dataset.live, filter);
