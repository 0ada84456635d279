// A live page: the server sends the parts that differ over one stream, and only what differs in them is written.

import { Stream, morph } from "./live.js";
import { localize, uncover } from "./page.js";

export function follow(address, changed = () => {}) {
  const mark = document.querySelector(".live");
  // A question that is open keeps its place: what has come meanwhile is written when it is answered.
  const held = new Map();
  const write = (id, html) => {
    const old = document.getElementById(id);
    if (old.querySelector(".confirm")) return held.set(id, html);
    held.delete(id);
    const made = old.cloneNode(false);
    made.innerHTML = html;
    morph(old, made);
    localize(old);
    uncover(old);
    changed(id);
  };
  setInterval(() => held.forEach((html, id) => write(id, html)), 1000);
  return new Stream(address, {
    open() { if (mark) mark.hidden = false; },
    lost() { if (mark) mark.hidden = true; },
    part({ id, html }) { write(id, html); },
  });
}
