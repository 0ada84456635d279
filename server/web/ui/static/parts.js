// A live page: the server sends changed parts over one stream, and only their differences are applied.

import { Stream, morph } from "./live.js";
import { localize } from "./page.js";
import { loaded } from "./wire.js";

// Loads the page anew, and applies the differences of the elements with these ids.
export async function renew(...ids) {
  const made = await loaded();
  for (const id of ids) morph(document.getElementById(id), made.getElementById(id));
  localize();
}

export function follow(address, changed = () => {}) {
  const mark = document.querySelector(".live");
  // Changes wait while a confirmation is open, and are applied afterwards.
  const held = new Map();
  const write = (id, html) => {
    const old = document.getElementById(id);
    if (old.querySelector(".confirm")) return held.set(id, html);
    held.delete(id);
    const made = old.cloneNode(false);
    made.innerHTML = html;
    morph(old, made);
    localize(old);
    changed(id);
  };
  setInterval(() => held.forEach((html, id) => write(id, html)), 1000);
  return new Stream(address, {
    open() { if (mark) mark.hidden = false; },
    lost() { if (mark) mark.hidden = true; },
    part({ id, html }) { write(id, html); },
  });
}
