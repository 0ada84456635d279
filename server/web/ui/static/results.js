// What a task gave: pictures beside those that went in, tables, histograms, files; or in words why it gave nothing.

import { call, element, sized, spoken, worded } from "./wire.js";

const SHOWN = /^image\/(jpeg|png|gif|webp|avif)$/;
const MOST_ROWS = 200;

export function folded(title, value, open = false) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return element("details", { open }, element("summary", {}, title), element("pre", { tabIndex: 0 }, text));
}

export function explain(ticket, problem) {
  ticket.state.textContent = problem.error ? `${problem.title}: ${problem.error.title}` : problem.title;
  ticket.more.replaceChildren(...worded(problem.error?.detail ?? problem.detail ?? ""));
  const parts = [];
  const placed = (problem.errors ?? []).filter(({ loc }) => loc.length); // what concerns all of it stands in the detail
  if (placed.length) {
    parts.push(element("ul", {}, ...placed.map(({ loc, msg }) => element("li", {}, `${loc.join(" › ")}: ${msg}`))));
  }
  ticket.found.append(...parts, ...spoken(problem).slice(1));
}

function filesIn(value) {
  if (!value || typeof value !== "object") return [];
  if (typeof value.href === "string" && value.media_type && value.name) return [value];
  return Object.values(value).flatMap(filesIn);
}

async function fetched(ticket, file) {
  const url = URL.createObjectURL(await (await call(file.href)).blob());
  ticket.urls.push(url);
  return url;
}

async function picture(ticket, file) {
  const url = await fetched(ticket, file);
  const size = file.width ? `${file.width} × ${file.height}, ` : "";
  const link = element("a", { href: url, download: file.name, className: "button" }, "Download");
  const caption = element("figcaption", {}, element("b", {}, "After"), ` ${file.name}, ${size}${sized(file.bytes)} `, link);
  return element("figure", {}, element("img", { src: url, alt: `Result: ${file.name}`, width: file.width, height: file.height }), caption);
}

// A plain link cannot carry a key, so a file is fetched with it and then handed to the browser.
function download(ticket, file) {
  const link = element("a", { href: file.href, download: file.name, className: "button" }, "Download");
  link.addEventListener("click", async (event) => {
    if (link.href.startsWith("blob:")) return;
    event.preventDefault();
    try {
      link.href = await fetched(ticket, file);
      link.click();
    } catch (error) {
      explain(ticket, error.problem);
    }
  });
  return element("p", {}, `${file.name}, ${sized(file.bytes)} `, link);
}

// A picture that went in, as the browser has it; what it cannot show is left out.
async function before(ticket, file) {
  const url = URL.createObjectURL(file);
  ticket.urls.push(url);
  const image = element("img", { src: url, alt: `Sent: ${file.name}` });
  try {
    await image.decode();
  } catch {
    return null;
  }
  const caption = `${file.name}, ${image.naturalWidth} × ${image.naturalHeight}, ${sized(file.size)}`;
  return element("figure", {}, image, element("figcaption", {}, element("b", {}, "Before"), ` ${caption}`));
}

const isPlain = (value) => value === null || typeof value !== "object";
const shown = (value) => typeof value === "number" ? String(Number(value.toPrecision(6))) : value === null || value === undefined ? "–" : String(value);
const isBin = (value) => value && typeof value === "object" && "low" in value && "high" in value && "count" in value;

const isBins = (value) => Array.isArray(value) && value.length > 0 && value.every(isBin);

// A name and a type come first, then a picture, then figures.
const rank = (rows, name) => name === "name" ? 0 : name === "type" ? 1 : rows.some((row) => isBins(row[name])) ? 2 : 3;

// Bars side by side; in words for who does not see them.
function histogram(name, bins) {
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const said = `${name}: ${bins.length} bins from ${shown(bins[0].low)} to ${shown(bins.at(-1).high)}, ${most} at most in one`;
  for (const [key, value] of Object.entries({ viewBox: `0 0 ${bins.length * 6} 32`, role: "img", "aria-label": said, class: "histogram" })) box.setAttribute(key, value);
  bins.forEach((bin, at) => {
    const bar = document.createElementNS(box.namespaceURI, "rect");
    const height = bin.count ? Math.max(1, 30 * bin.count / most) : 0;
    for (const [key, value] of Object.entries({ x: at * 6, y: 31 - height, width: 5, height })) bar.setAttribute(key, value);
    box.append(bar);
  });
  return box;
}

function cell(name, value) {
  if (isBins(value)) return histogram(name, value);
  return isPlain(value) ? shown(value) : "…";
}

// Rows of one shape: a column for each name that has a plain value or bins somewhere; figures stand to the right.
function table(caption, rows) {
  const names = [...new Set(rows.flatMap(Object.keys))].filter((name) =>
    rows.some((row) => row[name] !== null && row[name] !== undefined && (isPlain(row[name]) || isBins(row[name]))));
  names.sort((one, other) => rank(rows, one) - rank(rows, other));
  const sides = names.map((name) => rows.some((row) => typeof row[name] === "number") ? "number" : "");
  const head = element("tr", {}, ...names.map((name, at) => element("th", { scope: "col", className: sides[at] }, name.replaceAll("_", " "))));
  const body = rows.slice(0, MOST_ROWS).map((row) => element("tr", {}, ...names.map((name, at) =>
    element("td", { className: sides[at] }, cell(`${row.name ?? ""} ${name}`, row[name])))));
  const made = element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
  return element("div", { className: "scrolled", tabIndex: 0, role: "group", ariaLabel: caption }, made);
}

function facts(value) {
  const plain = Object.entries(value).filter(([, each]) => isPlain(each) && each !== null);
  const lists = Object.entries(value).filter(([, each]) => Array.isArray(each) && each.length && each.every((row) => row && typeof row === "object" && !Array.isArray(row)));
  const parts = lists.filter(([, rows]) => !filesIn(rows).length).map(([name, rows]) => table(name.replaceAll("_", " "), rows));
  if (plain.length) parts.unshift(element("dl", {}, ...plain.flatMap(([name, each]) => [element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, shown(each))])));
  return parts;
}

// A result in words, figures, tables and plots; a file is shown elsewhere.
export function described(result) {
  const files = filesIn(result);
  if (files.length === 1 && files[0] === result) return [];
  if (isPlain(result)) return [element("p", { className: "value" }, shown(result))];
  return facts(Array.isArray(result) ? { rows: result } : result);
}

// The result at `path`; `sent` are the files that went in.
export async function showResult(ticket, path, sent = []) {
  const body = await (await call(path, { headers: { Accept: "application/json" } })).json();
  const { result } = body;
  const files = filesIn(result);
  const pictures = await Promise.all(files.filter((file) => SHOWN.test(file.media_type)).map((file) => picture(ticket, file)));
  if (pictures.length) {
    const originals = await Promise.all(sent.filter((file) => file.type.startsWith("image/")).map((file) => before(ticket, file)));
    ticket.found.append(element("div", { className: "pair" }, ...originals.filter(Boolean), ...pictures));
  }
  ticket.found.append(...files.filter((file) => !SHOWN.test(file.media_type)).map((file) => download(ticket, file)));
  const parts = described(result);
  ticket.found.append(...parts, folded("Result as JSON", body, !files.length && !parts.length));
}
