// The result of a task: a picture before and after, tables, histograms, files; or the reason for a missing result.

import { button, call, drawn, element, icon, notice, number, parsed, problemNodes, sized, withCode } from "./common.js";

const SHOWN = /^image\/(jpeg|png|gif|webp|avif)$/;
const MAX_ROWS = 200;

function folded(title, value, open = false) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const copy = button("Copy", { className: "btn quiet small copy", data: { copy: "previous" } }, "copy");
  return element("details", { open }, element("summary", {}, title), element("div", { className: "code" }, element("pre", { tabIndex: 0 }, text), copy));
}

// The reason for a missing result, with each invalid value.
export function explained(problem) {
  const located = (problem.errors ?? []).filter(({ loc }) => loc.length);
  const listed = located.map(({ loc, msg }) => element("li", {}, `${loc.join(" › ")}: ${msg}`));
  const parts = problem.error ? [element("p", {}, element("strong", {}, `${problem.error.title}.`), " ", ...withCode(problem.error.detail ?? "")), ...problemNodes({ ...problem.error, title: "" }).slice(1)] : problemNodes(problem);
  return notice("fail", [...parts, ...(listed.length ? [element("ul", { className: "small" }, ...listed)] : [])]);
}

function filesIn(value) {
  if (!value || typeof value !== "object") return [];
  if (typeof value.href === "string" && value.media_type && value.name) return [value];
  return Object.values(value).flatMap(filesIn);
}

const dimensions = (file) => file.width ? `${number(file.width)} × ${number(file.height)}` : "";

async function decoded(url, alt, className = "") {
  const image = element("img", { src: url, alt, className });
  try {
    await image.decode();
    return image;
  } catch {
    return null; // the browser cannot show this format
  }
}

// A plain link cannot send a key, so the script fetches the file and passes it to the browser.
async function fetched(urls, file) {
  const url = URL.createObjectURL(await (await call(file.href)).blob());
  urls.push(url);
  return url;
}

function downloadLink(urls, file, primary = false) {
  const link = element("a", { href: file.href, download: file.name, className: `btn${primary ? " primary" : " small"}`, ariaLabel: primary ? null : `Download ${file.name}` }, icon("down"), "Download");
  link.addEventListener("click", async (event) => {
    if (link.href.startsWith("blob:")) return;
    event.preventDefault();
    link.href = await fetched(urls, file);
    link.click();
  });
  return link;
}

function saving(before, after) {
  const share = 1 - after / before;
  if (share >= 0.005) return `${Math.round(100 * share)}% smaller`;
  return share <= -0.005 ? `${Math.round(-100 * share)}% larger` : "Same size";
}

// A picture and the one that it was created from: both sizes, and both pictures behind a movable divider.
async function compared(urls, sent, file) {
  const afterUrl = await fetched(urls, file);
  const beforeUrl = URL.createObjectURL(sent);
  urls.push(beforeUrl);
  const [before, after] = await Promise.all([decoded(beforeUrl, `Before: ${sent.name}`), decoded(afterUrl, `After: ${file.name}`, "after")]);
  const size = before ? `${number(before.naturalWidth)} × ${number(before.naturalHeight)} → ` : "";
  const copy = button("Copy link", { hidden: !navigator.clipboard });
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(new URL(file.href, location.href).href);
    copy.textContent = "Copied";
  });
  const saved = element("div", { className: "saved" },
    element("span", { className: "pct" }, saving(sent.size, file.bytes)),
    element("span", { className: "from" }, `${sized(sent.size)} → ${sized(file.bytes)}`, element("br"), `${size}${dimensions(file)} px, ${file.media_type.replace(/^image\//, "").toUpperCase()}`),
    element("span", { className: "acts push" }, downloadLink(urls, file, true), copy));
  if (!after) return [saved];
  if (!before) return [saved, element("figure", { className: "shown" }, after)];
  const slider = element("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: "Before and after slider" });
  const box = element("div", { className: "compare" }, before, after,
    element("span", { className: "lab a" }, `Before, ${sized(sent.size)}`), element("span", { className: "lab b" }, `After, ${sized(file.bytes)}`),
    element("span", { className: "line" }), slider);
  box.style.aspectRatio = `${after.naturalWidth} / ${after.naturalHeight}`;
  return [saved, box];
}

async function picture(urls, file) {
  const image = await decoded(await fetched(urls, file), `Result: ${file.name}`);
  const caption = element("figcaption", {}, element("span", { className: "cut" }, element("b", {}, file.name), ` ${[dimensions(file), sized(file.bytes)].filter(Boolean).join(", ")}`), downloadLink(urls, file));
  return element("figure", {}, image, caption);
}

const row = (urls, file) => element("li", {}, icon("docs"), element("span", { className: "cut" }, element("strong", {}, file.name)), element("span", { className: "muted small num" }, sized(file.bytes)), downloadLink(urls, file));

const isLarge = (value) => Boolean(JSON.isRawJSON?.(value)); // a number with more digits than JavaScript keeps
const isPlain = (value) => value === null || typeof value !== "object" || isLarge(value);
export const shown = (value) => isLarge(value) ? number(BigInt(value.rawJSON)) : typeof value === "number" ? number(value) : value === null || value === undefined ? "–" : String(value);
const isBin = (value) => value && typeof value === "object" && "low" in value && "high" in value && "count" in value;
const isBins = (value) => Array.isArray(value) && value.length > 0 && value.every(isBin);

// Columns in order: name and type, the plot, then numbers.
const rank = (rows, name) => name === "name" ? 0 : name === "type" ? 1 : rows.some((each) => isBins(each[name])) ? 2 : 3;

// A bar chart, with a text for screen readers.
function histogram(name, bins) {
  const max = Math.max(1, ...bins.map((bin) => bin.count));
  const label = `${name}: ${bins.length} bins from ${shown(bins[0].low)} to ${shown(bins.at(-1).high)}, at most ${shown(max)} in one`;
  const bars = bins.map((bin, at) => {
    const height = bin.count ? Math.max(1, 30 * bin.count / max) : 0;
    return drawn("rect", { x: at * 6, y: 31 - height, width: 5, height });
  });
  return drawn("svg", { viewBox: `0 0 ${bins.length * 6} 32`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "histogram" }, ...bars);
}

function cell(name, value) {
  if (isBins(value)) return histogram(name, value);
  return isPlain(value) ? shown(value) : "…";
}

const columnsOf = (rows) => [...new Set(rows.flatMap(Object.keys))].filter((name) =>
  rows.some((each) => each[name] !== null && each[name] !== undefined && (isPlain(each[name]) || isBins(each[name]))));

// A table of objects: one column for each name with a plain value or bins; numbers are aligned right.
function table(caption, rows) {
  const names = columnsOf(rows);
  names.sort((one, other) => rank(rows, one) - rank(rows, other));
  const sides = names.map((name) => rows.some((each) => typeof each[name] === "number") ? "num" : "");
  const head = element("tr", {}, ...names.map((name, at) => element("th", { scope: "col", className: sides[at] }, name.replaceAll("_", " "))));
  const body = rows.slice(0, MAX_ROWS).map((each) => element("tr", {}, ...names.map((name, at) =>
    element("td", { className: sides[at] }, cell(`${each.name ?? ""} ${name}`, each[name])))));
  const node = element("table", { className: "records" }, element("caption", { className: "sr" }, caption), element("thead", {}, head), element("tbody", {}, ...body));
  const box = element("div", { className: "scrolled", tabIndex: 0, role: "group", ariaLabel: caption }, node);
  if (rows.length <= MAX_ROWS) return [box];
  return [box, element("p", { className: "hint" }, `The first ${shown(MAX_ROWS)} of ${shown(rows.length)} rows; the export has all of them.`)];
}

const isRows = (value) => Array.isArray(value) && value.length > 0 && value.every((each) => each && typeof each === "object" && !Array.isArray(each));

function facts(value) {
  const plain = Object.entries(value).filter(([, each]) => isPlain(each) && each !== null);
  const parts = Object.entries(value).filter(([, each]) => isRows(each) && !filesIn(each).length).flatMap(([name, rows]) => table(name.replaceAll("_", " "), rows));
  if (plain.length) parts.unshift(element("dl", { className: "kv" }, ...plain.flatMap(([name, each]) => [element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, shown(each))])));
  return parts;
}

// A result as text, numbers, tables and plots; other code shows its files.
export function described(result) {
  const files = filesIn(result);
  if (files.length === 1 && files[0] === result) return [];
  if (result === null || result === undefined) return [];
  if (isPlain(result)) return [element("p", { className: "value" }, shown(result))];
  return facts(Array.isArray(result) ? isRows(result) ? { rows: result } : {} : result);
}

const csvField = (value) => {
  const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  // A spreadsheet must not run a cell as a formula. After a minus, only a number and nothing else is none.
  const safe = /^[=+@\t\r]|^-(?!\d*\.?\d+(e[+-]\d+)?$)/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

function csvOf(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  return [names, ...rows.map((each) => names.map((name) => each[name]))].map((line) => line.map(csvField).join(",")).join("\r\n");
}

const save = (text, type, name) => {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
};

// Buttons that copy and export a result.
export function exports(result, name) {
  const text = () => JSON.stringify(result, null, 2);
  const buttons = [];
  if (navigator.clipboard) {
    const copy = button("Copy", { className: "btn quiet small" }, "copy");
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(typeof result === "string" ? result : text());
      copy.lastChild.data = "Copied";
    });
    buttons.push(copy);
  }
  const rows = isRows(result) ? result : Object.values(result ?? {}).find((each) => isRows(each) && !filesIn(each).length);
  const add = (label, act) => {
    const each = button(label, { className: "btn quiet small" }, "down");
    each.addEventListener("click", act);
    buttons.push(each);
  };
  if (rows) add("CSV", () => save(csvOf(rows), "text/csv", `${name}.csv`));
  add("JSON", () => save(text(), "application/json", `${name}.json`));
  return buttons;
}

// The result at `path`; `sent` are the uploaded files, `urls` collects object URLs to revoke later.
export async function resultOf(path, sent, urls, name) {
  const body = parsed(await (await call(path, { headers: { Accept: "application/json" } })).text());
  const { result } = body;
  const files = filesIn(result);
  const pictures = files.filter((file) => SHOWN.test(file.media_type));
  const parts = [];
  if (pictures.length === 1 && sent.length === 1 && sent[0].type.startsWith("image/")) parts.push(...await compared(urls, sent[0], pictures[0]));
  else if (pictures.length) parts.push(element("div", { className: "gallery" }, ...await Promise.all(pictures.map((file) => picture(urls, file)))));
  const others = files.filter((file) => !SHOWN.test(file.media_type));
  if (others.length) parts.push(element("ul", { className: "files" }, ...others.map((file) => row(urls, file))));
  const descriptions = described(result);
  parts.push(...descriptions);
  if (!files.length || descriptions.length) parts.push(element("div", { className: "acts" }, ...exports(result, name)));
  parts.push(folded("Result as JSON", body, !files.length && !descriptions.length && result !== null));
  return parts;
}
