// One job, all that is known of it, and what can be done with it. Needs page.js.
"use strict";

const ENDED = ["completed", "failed", "retrieved"];
const FIELDS = [
  "id", "status", "operation", "operands", "result", "error", "reason", "exit_code", "label", "key",
  "submitted", "last_updated", "completed_on", "worker", "priority", "timeout", "retries", "backoff",
  "not_before", "after", "exact", "precision", "command", "cut", "progress",
];
// Bytes of a command's output that are shown: its end.
const SHOWN = 20000;

function link(job) {
  return make("a", job.id, { href: `#${job.id}`, class: "id" });
}

function what(job) {
  return [job.operation, ...job.operands].join(" ");
}

function short(text) {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function written(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// The shown job is asked for anew when the snapshot does not have it: as long as it has not ended,
// and once it has, when the number of those of its state changes.
function drawStory() {
  const shown = page.shown;
  if (!shown) return;
  for (const [state, jobs] of Object.entries(page.snapshot.jobs)) {
    const job = jobs.find((each) => each.id === shown.id);
    if (job && (state !== shown.status || JSON.stringify(job) !== JSON.stringify(shown))) {
      tell(job);
      return;
    }
  }
  const present = page.snapshot.jobs[shown.status].some((job) => job.id === shown.id);
  const moved = page.snapshot.counts[shown.status] !== page.counts?.[shown.status];
  page.counts = page.snapshot.counts;
  if (!present && (moved || !ENDED.includes(shown.status))) attempt(() => renew(shown.id), "renewal");
}

async function renew(id) {
  if (page.renewing === id) return;
  page.renewing = id;
  try {
    const job = await ask("GET", `${API}/job/${id}`);
    if (page.shown?.id === id) tell(job);
  } finally {
    page.renewing = null;
  }
}

async function open(word) {
  say("", "");
  const job = await ask("GET", `${API}/job/${encodeURIComponent(word)}`);
  tell(job);
  $("story-title").focus();
}

function tell(job) {
  const moved = !page.shown || page.shown.id !== job.id || page.shown.status !== job.status;
  page.shown = job;
  $("story").hidden = false;
  $("story-title").textContent = `Job ${what(job)}`.slice(0, 100);
  const rows = FIELDS.filter((name) => {
    const value = job[name];
    return value !== null && value !== "" && !(Array.isArray(value) && !value.length);
  }).map((name) => [name, job[name]]);
  const parts = rows.flatMap(([name, value]) => [[`${name}:`, name], [name, value]]);
  keepPairs($("fields"), parts, job.status);
  keep($("attempts"), job.attempts.map((a, n) => [String(n), a]), "li", (li, a) => {
    li.textContent = `${a.started || ""} to ${a.ended} ${a.end} by ${a.worker}${a.error ? `: ${a.error}` : ""}`;
  });
  if (moved) drawActions(job);
  if (job.operation === "exec") attempt(() => drawOutputs(job), "output");
  else $("outputs").replaceChildren();
}

function keepPairs(list, parts, state) {
  const elements = parts.map(([key, value], n) => {
    if (n % 2 === 0) return make("dt", value.replaceAll("_", " "));
    const dd = make("dd", key === "operands" ? value.join(" ") : written(value));
    if (key === "status") dd.className = `state-${state}`;
    return dd;
  });
  list.replaceChildren(...elements);
}

function drawActions(job) {
  const buttons = [];
  const ended = ENDED.includes(job.status);
  if (job.status === "failed") buttons.push(["Retry", () => change("POST", "/retry", "It runs again.")]);
  if (!ended) buttons.push(["Cancel", () => change("DELETE", "", "It was cancelled.")]);
  if (job.status === "completed") buttons.push(["Fetch", () => change("POST", "/retrieved", "It counts as retrieved now.")]);
  buttons.push(["Close", close]);
  const had = $("actions").contains(document.activeElement);
  $("actions").replaceChildren(...buttons.map(([text, action]) => {
    const button = make("button", text, { type: "button", class: text === "Close" ? "quiet" : "" });
    button.addEventListener("click", () => act(action));
    return button;
  }));
  if (had) $("actions").firstElementChild.focus();
}

async function change(method, rest, done) {
  const job = await ask(method, `${API}/job/${page.shown.id}${rest}`);
  say(`${what(job)}: ${done}`, "good");
  tell(job);
}

function hide() {
  page.shown = null;
  $("story").hidden = true;
}

function close() {
  hide();
  history.replaceState(null, "", location.pathname);
  $("main").focus();
}

// One byte more than is shown was asked for: if it came, the output is longer. What is left of a
// character of which the first byte is cut off, three bytes at most, goes too.
function endOf(bytes) {
  if (bytes.length <= SHOWN) return new TextDecoder().decode(bytes);
  let start = 1;
  while (start < 4 && (bytes[start] & 0xC0) === 0x80) start += 1;
  return `…${new TextDecoder().decode(bytes.subarray(start))}`;
}

async function drawOutputs(job) {
  const blocks = [];
  for (const stream of ["stdout", "stderr"]) {
    if (!job.output || !job.output[stream]) continue;
    const bytes = await ask("GET", `${API}/job/${job.id}/output/${stream}?tail=${SHOWN + 1}`);
    if (!bytes.length) continue;
    blocks.push(make("h3", stream), make("pre", endOf(bytes), { tabindex: "0", role: "region", "aria-label": stream }));
  }
  if (page.shown && page.shown.id === job.id) $("outputs").replaceChildren(...blocks);
}
