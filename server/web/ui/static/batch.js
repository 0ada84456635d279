// A batch: it follows its parts over one stream, and is canceled and retried as a whole.

import { actOnBatch } from "./acts.js";
import { follow } from "./parts.js";

const counts = document.getElementById("counts");

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-on]");
  if (button) actOnBatch(button, counts.dataset.id);
});
follow(counts.dataset.live);
