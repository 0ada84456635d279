// Functions for every page: elements, icons, numbers, requests to the server, and its errors.

// The docs page has a field for a key; on other pages the browser is signed in, or needs no key.
export const credentials = { key: "" };

export const root = document.documentElement.dataset.root ?? "";
export const keyed = "keyed" in document.documentElement.dataset;

export const WORDS = {
  scheduled: "Scheduled", queued: "Waiting", running: "Running", retrying: "Failed once, trying again",
  canceling: "Stopping", succeeded: "Done", failed: "Failed", canceled: "Canceled",
};
export const DONE = ["succeeded", "failed", "canceled"];

export const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export function sized(bytes) {
  for (const [unit, word] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (bytes >= unit) return `${(bytes / unit).toFixed(bytes < 99.95 * unit ? 1 : 0)} ${word}`;
  }
  return `${bytes} B`;
}

export function span(seconds) {
  if (seconds < 0.9995) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 59.5) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  return seconds < 84600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

// A number with separators: 12345678 is 12,345,678.
export const number = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 10 });
export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

// Parses JSON; whole numbers that JavaScript would round keep all digits, in what a form sends and in what is shown.
const exact = (key, value, { source } = {}) => JSON.rawJSON && /^-?\d+$/.test(source) && !Number.isSafeInteger(value) ? JSON.rawJSON(source) : value;
export const parsed = (text) => JSON.parse(text, exact);

export function element(name, properties = {}, ...children) {
  const { data = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(name), rest);
  Object.assign(node.dataset, data);
  node.append(...children.filter((each) => each !== null && each !== undefined));
  return node;
}

export function drawn(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

export const icon = (name, spin = false) => drawn("svg", { class: spin ? "i spin" : "i", "aria-hidden": "true" }, drawn("use", { href: `#i-${name}` }));

export function state(status, text, { big = false, silent = false } = {}) {
  const word = element("span", silent ? { className: "sr" } : {}, text ?? status[0].toUpperCase() + status.slice(1));
  return element("span", { className: `st ${status}${big ? " big" : ""}` }, icon(status, status === "running"), word);
}

// Updates a status mark, only if it differs.
export function restate(container, status, text, options) {
  const mark = state(status, text, options);
  if (container.firstElementChild?.outerHTML !== mark.outerHTML) container.replaceChildren(mark);
}

export const button = (text, properties = {}, mark = null) => element("button", { type: "button", className: "btn", ...properties }, mark && icon(mark), text);

export function meter(share, label, plain = false) {
  const bar = drawn("rect", { height: "100%" });
  const svg = drawn("svg", { class: plain ? "meter plain" : "meter", role: "img" }, bar);
  svg.set = (value, description) => {
    bar.setAttribute("width", `${Math.max(0, Math.min(100, 100 * value)).toFixed(1)}%`);
    svg.setAttribute("aria-label", description);
  };
  svg.set(share, label);
  return svg;
}

export class Refused extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

// The nodes of a text whose `backticks` become code, as in the server's pages.
export const withCode = (text) => String(text).split("`").map((part, at) => at % 2 ? element("code", {}, part) : part);

// A problem as text, with the next step.
export function problemNodes({ status, title, detail, type }) {
  const parts = [element("p", {}, element("strong", {}, `${title}.`), " ", ...withCode(detail ?? ""))];
  if (status === 401) parts.push(element("p", {}, element("a", { href: `${root}/ui/sign-in?next=${encodeURIComponent(location.pathname.slice(root.length) + location.search)}` }, "Sign in")));
  else if (type) parts.push(element("p", {}, element("a", { href: type }, "What this means")));
  return parts;
}

export const notice = (level, parts, properties = {}) => element("div", { className: `notice ${level}`, ...properties }, icon({ fail: "failed", warn: "failures", ok: "succeeded" }[level] ?? "info"), element("div", {}, ...parts));

export const reason = ({ problem }) => [problem.title, problem.detail].filter(Boolean).map((text) => text.replace(/\.$/, "")).join(". ") + ".";

// Returns whether a repeated request may succeed.
export const passes = ({ status }) => !status || status === 429 || status >= 500;

const parse = (text) => new DOMParser().parseFromString(text, "text/html");

// The problem in an answer: from JSON, or from an error page of the server.
export async function problemIn(response) {
  const problem = { status: response.status, title: `The server answered ${response.status}` };
  if (!response.headers.get("Content-Type")?.includes("html")) return { ...problem, ...await response.json().catch(() => ({})) };
  const page = parse(await response.text());
  const text = (selector) => page.querySelector(selector)?.textContent;
  return { ...problem, title: text("h1") ?? problem.title, detail: text(".hello h1 + p") };
}

export const SILENT = { title: "The server does not answer", detail: "Check your connection, and whether the server is running." };

// All tabs share one session: a page of one owner must not act as another owner who has signed in since.
const { owner } = document.documentElement.dataset;
export const OTHER = { status: 403, title: "Someone else has signed in", detail: "This page belongs to another owner than the browser's current session. Reload it." };
export const isOther = () => Boolean(owner) && (localStorage.getItem(`owner${root}`) ?? owner) !== owner;
if (owner) localStorage.setItem(`owner${root}`, owner);

export async function call(path, options = {}) {
  if (options.method && options.method !== "GET" && isOther()) throw new Refused(OTHER);
  const headers = { ...options.headers };
  if (credentials.key) headers.Authorization = `Bearer ${credentials.key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(SILENT);
  }
  if (response.ok) return response;
  throw new Refused(await problemIn(response));
}

// The document at an address of the server; without one, this page as it is now.
export const loaded = async (path = location.pathname + location.search) => parse(await (await call(path)).text());

// A request with a JSON body, or without a body.
export const request = (method, path, body) => call(path, { method, ...(body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
export const post = (path, body) => request("POST", path, body);
