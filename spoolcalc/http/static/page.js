// The page of `spool serve`: what the server pushes, shown; what people ask, sent. story.js has
// what belongs to one job.
// Text only ever becomes text: nothing that comes from a job is taken for HTML.
"use strict";

const API = "/api/v1";
const STATES = ["blocked", "delayed", "pending", "wip", "completed", "failed", "retrieved"];
const $ = (id) => document.getElementById(id);
const page = { state: "pending", snapshot: null, shown: null, older: [], next: null, usages: {}, renewing: null, about: "", listening: false, troubled: false };

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Changes the children of `parent` to those of `items` and keeps the elements of those that stay, so
// that the keyboard's focus stays too. `fill` writes an item into its element, when it has changed.
function keep(parent, items, tag, fill) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const [key, item] of items) {
    const element = old.get(key) || make(tag);
    old.delete(key);
    element.dataset.key = key;
    const written = JSON.stringify(item);
    if (element.dataset.written !== written) {
      fill(element, item);
      element.dataset.written = written;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of old.values()) element.remove();
}

// `about` is what ends a message by itself: a good answer to what it is about.
function say(text, kind, about = "") {
  page.about = about;
  $("message").textContent = text;
  $("message").className = kind;
  $("message").hidden = text === "";
  // It stays in view, so what is scrolled to must come to lie below it.
  document.documentElement.style.scrollPaddingTop = text && `${$("message").offsetHeight + 16}px`;
}

function unsay(about) {
  if (page.about === about) say("", "");
}

function headers(more = {}) {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

// Returns what an answer's JSON says, or the bytes of what is none.
async function ask(method, path, body) {
  const options = { method, headers: headers(), cache: "no-store" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = headers({ "Content-Type": "application/json" });
  }
  const response = await fetch(path, options);
  if (response.status === 401) askForToken();
  else unsay("token");
  const kind = response.headers.get("content-type") || "";
  const told = kind.includes("json") ? await response.json() : new Uint8Array(await response.arrayBuffer());
  if (response.ok) return told;
  const error = new Error([told.detail, told.hint].filter(Boolean).join("\n"));
  if (response.status === 401) error.about = "token";
  // While the spool is in trouble that is why, and ends with it; a full disk stays to be read.
  if (response.status === 503 && page.troubled) error.about = "spool";
  throw error;
}

async function attempt(action, about = "") {
  try {
    await action();
    if (about) unsay(about);
  } catch (error) {
    say(error.message, "bad", error.about || about);
  }
}

// What people do ends what was said before, and what comes of it does not hide where they are.
async function act(action) {
  say("", "");
  await attempt(action);
  if (!$("message").hidden) document.activeElement.scrollIntoView({ block: "nearest" });
}

function askForToken() {
  $("token-form").hidden = false;
  $("token").focus();
}

// --- what the server pushes ----------------------------------------------------------------------

// Not EventSource, which cannot send a token.
async function listen() {
  if (page.listening) return;
  page.listening = true;
  let pause = 500;
  for (;;) {
    try {
      const response = await fetch(`${API}/events`, { headers: headers(), cache: "no-store" });
      if (response.status === 401) {
        $("live").textContent = "a token is needed";
        page.listening = false;
        askForToken();
        return;
      }
      if (!response.ok) throw new Error(response.statusText);
      $("live").textContent = "live";
      pause = 500;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const parts = text.split("\n\n");
        text = parts.pop();
        for (const part of parts) take(part);
      }
    } catch {
      // The server is away; the page waits for it.
    }
    $("live").textContent = "not connected, trying again";
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, 10000);
  }
}

function take(part) {
  const lines = part.split("\n");
  const event = lines.find((line) => line.startsWith("event: "));
  const data = lines.find((line) => line.startsWith("data: "));
  if (!event || !data) return;
  const told = JSON.parse(data.slice(6));
  if (event === "event: trouble") {
    page.troubled = true;
    say([told.error, told.hint].join("\n"), "bad", "spool");
  }
  if (event !== "event: spool") return;
  page.troubled = false;
  unsay("spool");
  unsay("token");
  page.snapshot = told;
  draw();
}

function draw() {
  const seen = page.snapshot;
  $("place").textContent = seen.spool;
  const paused = seen.paused && `Paused since ${seen.paused.since}. ${seen.paused.reason}`;
  $("hint").textContent = paused || seen.hint || "";
  $("hint").hidden = !$("hint").textContent;
  drawCounts(seen.counts);
  keep($("workers"), seen.workers.map((w) => [w.worker, w]), "li", (li, w) => {
    const jobs = w.jobs.length === 1 ? "1 job" : `${w.jobs.length} jobs`;
    li.textContent = `${w.worker} (process ${w.pid} on ${w.host}): ${w.jobs.length ? jobs : "idle"}`;
  });
  if (!seen.workers.length) keep($("workers"), [["none", 0]], "li", (li) => { li.textContent = "None is alive."; });
  if (!seen.jobs.wip.length) keep($("running"), [["none", 0]], "li", (li) => { li.textContent = "Nothing."; });
  else keep($("running"), seen.jobs.wip.map((job) => [job.id, job]), "li", drawRunning);
  drawList();
  drawStory();
}

function drawCounts(counts) {
  keep($("counts"), STATES.map((s) => [s, [counts[s], s === page.state]]), "li", (li, [number, pressed]) => {
    if (!li.firstElementChild) {
      const button = li.appendChild(make("button", null, { type: "button" }));
      button.append(make("span", li.dataset.key), make("strong"));
      button.addEventListener("click", () => choose(li.dataset.key));
    }
    li.querySelector("strong").textContent = number.toLocaleString("en");
    li.firstElementChild.setAttribute("aria-pressed", pressed);
  });
}

function drawRunning(li, job) {
  li.replaceChildren(link(job), ` ${what(job)} `);
  const told = job.progress;
  if (told) {
    const bar = make("progress", null, { "aria-label": `Progress of ${what(job)}` });
    if (typeof told.fraction === "number") bar.value = told.fraction;
    li.append(bar, told.text || "");
  }
}

function choose(state) {
  page.state = state;
  page.older = [];
  page.next = null;
  draw();
}

// The newest of a state come with the snapshot; older ones are asked for by hand, a page at a time.
function drawList() {
  const state = page.state;
  const pushed = page.snapshot.jobs[state];
  const ids = new Set(pushed.map((job) => job.id));
  const all = [...pushed, ...page.older.filter((job) => !ids.has(job.id))];
  $("list-title").textContent = `List: ${state}`;
  keep($("jobs"), all.map((job) => [job.id, job]), "tr", (row, job) => {
    const had = row.contains(document.activeElement);
    const outcome = job.result !== null ? job.result : job.error || "";
    const head = make("th", null, { scope: "row" });
    head.append(link(job));
    const end = make("td", short(outcome), { class: `state-${job.status}` });
    row.replaceChildren(head, make("td", short(what(job))), end, make("td", job.label), make("td", job.last_updated.slice(5, 19).replace("T", " ")));
    if (had) head.firstElementChild.focus();
  });
  $("none").hidden = all.length > 0;
  $("more").hidden = page.snapshot.counts[state] <= all.length || (page.older.length > 0 && page.next === null);
}

async function more() {
  const before = $("jobs").children.length;
  const path = page.next || `${API}/jobs?state=${page.state}&limit=100`;
  const told = await ask("GET", path);
  page.next = told.next;
  page.older.push(...told.jobs);
  drawList();
  if ($("more").hidden) ($("jobs").children[before]?.querySelector("a") || $("main")).focus();
}

// --- what people ask -----------------------------------------------------------------------------

function words(text) {
  const found = [];
  for (const part of text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)) {
    found.push(part[1] !== undefined ? part[1].replace(/\\(.)/g, "$1") : part[2]);
  }
  return found;
}

async function submit() {
  const fields = { operation: $("operation").value, operands: words($("operands").value) };
  for (const name of ["label", "key", "cwd"]) if ($(name).value) fields[name] = $(name).value;
  for (const name of ["priority", "timeout", "retries", "delay"]) {
    if ($(name).value !== "") fields[name] = Number($(name).value);
  }
  if ($("after").value.trim()) fields.after = words($("after").value).map((id) => [id, "ok"]);
  const job = await ask("POST", `${API}/jobs`, fields);
  say(`Submitted: ${job.id}`, "good");
  tell(job);
  history.replaceState(null, "", `#${job.id}`);
  $("story-title").focus();
}

async function begin() {
  const told = await ask("GET", `${API}/operations`);
  for (const each of told.operations.filter((o) => !o.error)) page.usages[each.name] = each;
  $("operation").replaceChildren(...Object.keys(page.usages).map((name) => make("option", name)));
  if (page.usages.add) $("operation").value = "add";
  showUsage();
  await fromAddress();
}

function showUsage() {
  const each = page.usages[$("operation").value];
  $("usage").textContent = each ? `${each.name} ${each.usage}: ${each.help}` : "";
}

async function fromAddress() {
  const word = decodeURIComponent(location.hash.slice(1));
  if (!word && page.shown) hide();
  if (word && word !== "main" && (!page.shown || page.shown.id !== word)) await open(word);
}

function on(id, event, action) {
  $(id).addEventListener(event, (it) => {
    it.preventDefault();
    act(action);
  });
}

on("submit", "submit", submit);
on("search", "submit", async () => { await open($("word").value.trim()); });
on("operation", "change", async () => showUsage());
on("more", "click", more);
on("token-form", "submit", async () => {
  const token = $("token").value.trim();
  if (!/^[!-~]+$/.test(token)) throw new Error("A token is of ASCII characters, without spaces.");
  sessionStorage.setItem("token", token);
  $("token-form").hidden = true;
  start();
});
addEventListener("hashchange", () => attempt(fromAddress));

function start() {
  attempt(begin);
  listen();
}

start();
