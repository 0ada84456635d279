// A live page: the server sends changed parts over one stream, and only their differences are applied.

import { Stream, morph } from "./live.js";
import { localize } from "./page.js";
import { loaded } from "./common.js";

// Loads the page anew, and applies the differences of the elements with these ids.
export async function renew(...ids) {
  const page = await loaded();
  for (const id of ids) morph(document.getElementById(id), page.getElementById(id));
  localize();
}

export function follow(address, changed = () => {}) {
  const mark = document.querySelector(".live");
  // Changes wait while a confirmation is open, and are applied afterwards.
  const postponed = new Map();
  const write = (id, html) => {
    const old = document.getElementById(id);
    if (old.querySelector(".confirm")) return postponed.set(id, html);
    postponed.delete(id);
    const updated = old.cloneNode(false);
    updated.innerHTML = html;
    morph(old, updated);
    localize(old);
    changed(id);
  };
  setInterval(() => postponed.forEach((html, id) => write(id, html)), 1000);
  return new Stream(address, {
    open() { if (mark) mark.hidden = false; },
    lost() { if (mark) mark.hidden = true; },
    part({ id, html }) { write(id, html); },
  });
}
