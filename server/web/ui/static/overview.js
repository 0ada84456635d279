// The overview follows its parts over one stream; queues are cleared and workers stopped after a last step.

import { actOnAll } from "./acts.js";
import { ask, say } from "./confirm.js";
import { follow } from "./parts.js";
import { call, number, plural, post, reason, root } from "./common.js";

async function stop({ worker }) {
  const text = "It starts nothing new, ends the tasks that it runs or gives them back after a while, and exits. A process manager may start it again; make run ends with it.";
  if (!await ask({ title: `Drain and stop ${worker}?`, text, choices: [{ label: "Drain and stop", value: true, danger: true }] })) return;
  try {
    await post(`${root}/workers/${encodeURIComponent(worker)}/stop`);
    say(`${worker} is asked to stop.`, "ok");
  } catch (error) {
    say(reason(error), "fail");
  }
}

// The paths are those of tasks and batches; below /ui they have pages.
async function again({ host, paths }) {
  const all = paths.split(",");
  const rows = all.slice(0, 3).map((path) => [`…${path.slice(-8)}`, `${root}/ui${path}`, `webhook to ${host}`]);
  const label = `Send ${plural(all.length, "webhook")} again`;
  if (!await ask({ title: `${label} to ${host}?`, text: "Each is sent as soon as a worker can.", sample: { caption: `Sample: ${rows.length} of ${number(all.length)}`, rows }, choices: [{ label, value: true, primary: true }] })) return;
  let [done, refusal] = [0, ""];
  for (const path of all) {
    try {
      await post(`${root}${path}/webhook`);
      done += 1;
    } catch (error) {
      refusal = reason(error);
    }
    say(`${number(done)} of ${plural(all.length, "webhook")} sent again…`);
  }
  say(`${plural(done, "webhook")} sent again.${refusal ? ` The others not: ${refusal}` : ""}`, refusal ? "fail" : "ok");
}

async function pause(queue, method, effect) {
  try {
    await call(`${root}/queues/${encodeURIComponent(queue)}/pause`, { method });
    say(`${queue} is ${effect}.`, "ok");
  } catch (error) {
    say(reason(error), "fail");
  }
}

const ACTS = {
  stop,
  pause: ({ queue }) => pause(queue, "PUT", "paused: what waits in it does not start until it is resumed"),
  resume: ({ queue }) => pause(queue, "DELETE", "resumed"),
  again,
  clear: ({ query, queue }) => actOnAll("cancel", query, `that wait in ${queue}`, undefined, queue),
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-on]");
  if (button) ACTS[button.dataset.on](button.dataset);
});
document.getElementById("of").addEventListener("change", ({ target }) => target.form.submit());
follow(document.getElementById("live").dataset.live);
