// The request of the form in three languages, kept up to date. Each sample runs as copied.

import { credentials, keyed } from "./common.js";

const quoted = (text) => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
const needsKey = () => keyed || credentials.key;
const indented = (lines, by = "    ") => lines.map((line) => by + line).join("\n");
const literal = (value) => JSON.stringify(value);

function curl({ url, pairs }) {
  const parts = needsKey() ? ['-H "Authorization: Bearer $COATCHECK_KEY"'] : [];
  if (!pairs.length) parts.push("-X POST");
  for (const [name, value] of pairs) {
    if (typeof value !== "string") parts.push(`-F ${quoted(`${name}=@${value.name}`)}`);
    else parts.push(`${/^[@<]|;/.test(value) ? "--form-string" : "-F"} ${quoted(`${name}=${value}`)}`);
  }
  return ["curl", ...parts, quoted(url)].join(" ");
}

const PYTHON_KEY = `headers={"Authorization": f"Bearer {os.environ['COATCHECK_KEY']}"}`;

function python({ url, pairs }) {
  const files = pairs.filter(([, value]) => typeof value !== "string");
  const fields = pairs.filter(([, value]) => typeof value === "string");
  const open = files.map(([name, file]) => `(${literal(name)}, open(${literal(file.name)}, "rb"))`);
  const data = fields.map(([name, value]) => `${literal(name)}: ${literal(value)}`);
  const parts = [`${literal(url)}`];
  if (needsKey()) parts.push(PYTHON_KEY);
  if (files.length) parts.push(`files=[${open.join(", ")}]`);
  if (fields.length) parts.push(`data={${data.join(", ")}}`);
  parts.push("timeout=60");
  return `import httpx${needsKey() ? "\nimport os" : ""}\n\nanswer = httpx.post(\n${indented(parts.map((part) => `${part},`))}\n)\nanswer.raise_for_status()\nticket = answer.json()\nprint(ticket["status"], ticket["links"]["result"])`;
}

function javascript({ url, pairs }) {
  const files = pairs.filter(([, value]) => typeof value !== "string");
  const lines = pairs.map(([name, value]) => typeof value === "string" ? `form.append(${literal(name)}, ${literal(value)});` : `form.append(${literal(name)}, await openAsBlob(${literal(value.name)}), ${literal(value.name)});`);
  const body = pairs.length ? ["const form = new FormData();", ...lines, ""].join("\n") : "";
  const options = ['method: "POST"', ...(pairs.length ? ["body: form"] : []), ...(needsKey() ? ["headers: { Authorization: `Bearer ${process.env.COATCHECK_KEY}` }"] : [])];
  return `${files.length ? 'import { openAsBlob } from "node:fs";\n\n' : ""}${body}const answer = await fetch(${literal(url)}, {\n${indented(options.map((part) => `${part},`), "  ")}\n});\nif (!answer.ok) throw new Error(await answer.text());\nconst ticket = await answer.json();\nconsole.log(ticket.status, ticket.links.result);`;
}

export const LANGUAGES = { curl, py: python, js: javascript };

// Parses a curl command of the docs; the other languages are generated from its parts.
export function ofCommand(text) {
  const parts = [...text.matchAll(/'((?:[^']|'\\'')*)'|"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]);
  const request = { method: "GET", headers: [], fields: [], body: null, url: "" };
  for (let at = 1; at < parts.length; at += 1) {
    const word = parts[at];
    if (word === "-X") request.method = parts[++at];
    else if (word === "-I") request.method = "HEAD";
    else if (word === "-H") request.headers.push(parts[++at].split(/:\s*/, 2));
    else if (word === "-F") request.fields.push(parts[++at]);
    else if (/^(-d|--data|--data-binary|--json)$/.test(word)) request.body = parts[++at];
    else if (/^https?:/.test(word)) request.url = word;
    else if (word === "-o") at += 1;
  }
  if (request.body !== null && request.method === "GET") request.method = "POST";
  return request;
}

const keyFor = { py: (value) => value.includes("$COATCHECK_KEY") ? `f"Bearer {os.environ['COATCHECK_KEY']}"` : literal(value), js: (value) => value.includes("$COATCHECK_KEY") ? "`Bearer ${process.env.COATCHECK_KEY}`" : literal(value) };

export function translated(text, language) {
  const { method, headers, body, url } = ofCommand(text);
  const listed = headers.map(([name, value]) => `${literal(name)}: ${keyFor[language](value)}`).join(", ");
  if (language === "py") {
    const parts = [literal(method), literal(url), ...(listed ? [`headers={${listed}}`] : []), ...(body ? [`content=${literal(body)}`] : [])];
    return `import httpx${listed.includes("os.environ") ? "\nimport os" : ""}\n\nanswer = httpx.request(${parts.join(", ")}, follow_redirects=True)\nprint(answer.status_code, answer.text)`;
  }
  const parts = [`method: ${literal(method)}`, ...(listed ? [`headers: { ${listed} }`] : []), ...(body ? [`body: ${literal(body)}`] : [])];
  return `const answer = await fetch(${literal(url)}, { ${parts.join(", ")} });\nconsole.log(answer.status, await answer.text());`;
}
