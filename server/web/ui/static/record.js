// A task's own page: what it gave in tables and plots, above its JSON.

import "./acts.js";
import { described } from "./results.js";
import { call } from "./wire.js";

const place = document.getElementById("described");

async function describe() {
  if (place.hasChildNodes() || !document.querySelector("#gave pre")) return;
  const answer = await call(place.dataset.result, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer) place.replaceChildren(...described((await answer.json()).result));
}

document.addEventListener("renewed", describe);
describe();
