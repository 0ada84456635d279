// What every page needs: elements, calls to the server, and what it says when it refuses.

// The docs page has a field for a key; elsewhere the browser is signed in, or needs no key.
export const credentials = { key: "" };

export const WORDS = {
  scheduled: "Not due yet", queued: "Waiting for a worker", running: "Running", retrying: "Failed once, trying again",
  canceling: "Stopping", succeeded: "Done", failed: "Failed", canceled: "Canceled",
};

export const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
export const sized = (bytes) => bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export class Refused extends Error {
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

// The nodes of a text whose `backticks` become code, as the server's pages have it.
export const worded = (text) => String(text).split("`").map((part, at) => at % 2 ? element("code", {}, part) : part);

// A problem in words, and what to do about it.
export function spoken({ status, title, detail, type }) {
  const parts = [element("p", {}, element("b", {}, `${title}.`), " ", ...worded(detail ?? ""))];
  if (status === 401) parts.push(element("p", {}, element("a", { href: `/ui/sign-in?next=${encodeURIComponent(location.pathname + location.search)}` }, "Sign in")));
  else if (type) parts.push(element("p", {}, element("a", { href: type }, "What this means")));
  return parts;
}

// Whether a problem may be over when one asks again.
export const passes = ({ status }) => !status || status === 429 || status >= 500;

export const parse = (text) => new DOMParser().parseFromString(text, "text/html");

// The problem in an answer: in JSON, or as a page of the server's has it.
async function problemIn(response) {
  const found = { status: response.status, title: `The server answered ${response.status}` };
  if (!response.headers.get("Content-Type")?.includes("html")) return { ...found, ...await response.json().catch(() => ({})) };
  const page = parse(await response.text());
  const text = (selector) => page.querySelector(selector)?.textContent;
  return { ...found, title: text("h1") ?? found.title, detail: text(".lead") };
}

export async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (credentials.key) headers.Authorization = `Bearer ${credentials.key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Refused({ title: "The server does not answer", detail: "Look at your connection, and whether the server is running." });
  }
  if (response.ok) return response;
  throw new Refused(await problemIn(response));
}
