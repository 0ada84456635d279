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

export async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (credentials.key) headers.Authorization = `Bearer ${credentials.key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Refused({ title: "The server did not answer", detail: "Is it still running?" });
  }
  if (response.ok) return response;
  const fallback = { title: `The server answered ${response.status}` };
  throw new Refused(await response.json().catch(() => fallback));
}
