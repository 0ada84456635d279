// Keys: create one, which is shown once, and revoke one.

import { ask, say } from "./confirm.js";
import { mark } from "./forms.js";
import { renew } from "./parts.js";
import { Refused, call, element, icon, post, reason, root } from "./common.js";

const form = document.getElementById("new");

function show({ key, note, begins, owner, role }) {
  const field = element("input", { className: "in mono", readOnly: true, ariaLabel: "The new key", value: key });
  const copy = element("button", { className: "btn primary", type: "button", data: { copy: "previous" } }, icon("copy"), "Copy");
  const line = `curl -H "Authorization: Bearer $COATCHECK_KEY" ${location.origin}${root}/catalog`;
  const box = element("div", { className: "panel newkey" },
    element("header", {}, icon("succeeded"), element("h2", { tabIndex: -1 }, `Key “${note || `${begins}…`}” created. Copy it now; you won’t see it again.`)),
    element("div", { className: "pad" }, element("div", { className: "acts once" }, field, copy),
      element("p", { className: "hint" }, `Owner ${owner}, role ${role}. Try it: `, element("code", {}, line))));
  document.getElementById("new-key").replaceChildren(box);
  box.querySelector("h2").focus();
}

async function create() {
  const { expires_in, rate_limit, ...rest } = Object.fromEntries(new FormData(form));
  const numbers = Object.entries({ expires_in, rate_limit }).filter(([, text]) => text).map(([name, text]) => [name, Number(text)]);
  const created = await (await post(`${root}/keys`, { ...rest, ...Object.fromEntries(numbers) })).json();
  say("");
  form.reset();
  show(created);
}

async function revoke({ revoke: id, name, owner }) {
  const text = `What uses it is refused within two seconds. The tasks of ${owner} stay.`;
  if (!await ask({ title: `Revoke ${name}?`, text, choices: [{ label: "Revoke it", value: true, danger: true }] })) return;
  await call(`${root}/keys/${id}`, { method: "DELETE" });
  say(`Key ${name} revoked.`, "ok");
}

async function guarded(work) {
  mark(form, []);
  try {
    await work();
    await renew("list", "sum");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(reason(error), "fail");
    mark(form, error.problem.errors ?? []);
  }
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-revoke]");
  if (button) guarded(() => revoke(button.dataset));
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(create);
});
form.elements.role.addEventListener("change", ({ target }) => {
  document.getElementById("role.hint").textContent = target.selectedOptions[0].dataset.may;
});
