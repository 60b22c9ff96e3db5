"use strict";
const WINDOWS = [["15m", "15 min"], ["2h", "2 h"], ["24h", "24 h"], ["14d", "14 d"]];
const EVERY = 2000;
const $ = (id) => document.getElementById(id);
/* Text from logs and names becomes text nodes only. */
const el = (tag, attributes, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const number = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });
const digitsOf = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);
const perSecond = (value) => number(value, digitsOf(value)) + "/s";
const percent = (value) => number(value, digitsOf(value)) + "%";
const plain = (value) => number(value, digitsOf(value));
const millis = (value) => (value >= 1000 ? number(value / 1000, 2) + " s" : number(value, value >= 10 ? 0 : 1) + " ms");
const bytes = (value) => (value >= 2 ** 30 ? number(value / 2 ** 30, 1) + " GiB" : number(value / 2 ** 20, value >= 2 ** 24 ? 0 : 1) + " MiB");
const cores = (value) => number(value, 2) + (value === 1 ? " core" : " cores");
const shown = (format, value) => (value == null ? "no data" : format(value));
const two = (value) => String(value).padStart(2, "0");
const clock = (at, seconds) => {
  const date = new Date(at);
  return two(date.getHours()) + ":" + two(date.getMinutes()) + (seconds ? ":" + two(date.getSeconds()) : "");
};
const day = (at) => {
  const date = new Date(at);
  return date.getFullYear() + "-" + two(date.getMonth() + 1) + "-" + two(date.getDate());
};
/* Title, unit, lines: field, name, colour; a line of another unit has its own scale. `most` is the least upper end of the axis. */
const CHARTS = [
  ["Requests", perSecond, 1, ["ok", "answered", "a"], ["limited", "refused", "b"], ["failed", "failed", "c"]],
  ["Failed (5xx)", percent, 1, ["failed_share", "failed", "c"]],
  ["Latency", millis, 1, ["p50", "p50", "a"], ["p95", "p95", "b"], ["p99", "p99", "c"]],
  ["Refused (429)", percent, 1, ["limited_share", "refused", "b"]],
  ["Replicas not sharing the limit", percent, 100, ["local", "of the replicas", "c"]],
  ["MongoDB connections", plain, 1, ["pool_in_use", "in use", "a"], ["pool_open", "open", "b"], ["pool_max", "maximum", "d"]],
  ["Cache hit rate", percent, 100, ["cache_hits", "hits", "a"]],
  ["CPU (cores) and memory", plain, 0.1, ["cpu", "CPU", "a", null], ["memory", "memory", "b", bytes]],
];
const report = $("report") ? JSON.parse($("report").textContent) : null;
const state = { window: "15m", frozen: false, view: null, points: [], first: 0, cross: null, silent: false };

function merge(view) {
  const end = state.first + state.points.length;
  /* Of a stack that is down there is nothing new; what was shown stays. */
  if (!view.points.length && state.view && state.view.window === view.window) { state.view = view; return; }
  if (!state.view || state.view.window !== view.window || view.first > end || view.first < state.first) {
    state.points = view.points;
    state.first = view.first;
  } else {
    state.points = state.points.slice(0, view.first - state.first).concat(view.points);
  }
  const over = state.points.length - view.room;
  if (over > 0) { state.points = state.points.slice(over); state.first += over; }
  state.view = view;
}
/* What is drawn: [time of the first interval, number of intervals]. */
const last = () => Math.floor(state.view.now / state.view.step);
const from = () => last() - state.view.room + 1;
const pointAt = (slot) => state.points[slot - state.first] || null;

async function poll() {
  if (!state.frozen) {
    try {
      const end = state.first + state.points.length;
      const since = state.view && state.view.window === state.window && end > 0 ? end - 1 : 0;
      const answer = await fetch("/data?window=" + state.window + "&since=" + since, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status === 403 ? "refused" : "failed");
      const view = await answer.json();
      if (view.window === state.window && !state.frozen) { merge(view); state.silent = null; }
    } catch (error) {
      state.silent = error.message === "refused" ? "this page is signed out" : "`appforge monitor` does not answer";
    }
    draw();
  }
  setTimeout(poll, EVERY);
}

function draw() {
  const view = state.view;
  const problems = view ? view.problems.slice() : [];
  if (state.silent) problems.unshift({ severity: "critical", text: state.silent, command: "appforge monitor" });
  drawProblems(problems);
  if (!view) return;
  document.title = view.stack + (problems.length ? " (" + problems.length + ")" : "") + " – appforge";
  $("stack").textContent = view.stack || "appforge";
  $("about").textContent = "on " + view.target + (view.url ? " at " + view.url : ", down") + ", " + view.replicas.ready + " of " + view.replicas.desired + " replicas ready";
  const since = view.history.since ? day(view.history.since) + " " + clock(view.history.since, true) : null;
  const kept = view.history.kept_by === "supervisor" ? "History kept by the supervisor" : "History kept by `appforge monitor` while it runs";
  $("source").textContent = (since ? kept + ", since " + since : view.url ? "No history yet" : "The history is back when the stack is up") + ". " + (report ? "Report of " : state.frozen ? "Frozen at " : "Updated at ") + (report ? day(view.now) + " " : "") + clock(view.now, true) + ".";
  drawTiles(view);
  drawCharts();
  drawRows(view);
  drawEvents(view);
}

function drawProblems(problems) {
  const worst = problems.some((problem) => problem.severity === "critical") ? "critical" : "warning";
  $("verdict").className = "pill " + (problems.length ? worst : state.view ? "ok" : "");
  $("verdict").textContent = problems.length ? problems.length + (problems.length === 1 ? " problem" : " problems") : state.view ? "no problems" : "loading";
  const lines = problems.map((problem) => el("li", { class: problem.severity }, el("span", problem.alert ? { title: "Alert " + problem.alert + "; see `appforge alerts`" } : {}, problem.text), el("code", { title: "Next command" }, problem.command)));
  /* A screen reader reads the list again when it changes. */
  if ($("problems").textContent !== lines.map((line) => line.textContent).join("")) $("problems").replaceChildren(...lines);
}

function drawTiles(view) {
  const now = view.current || {};
  const tiles = [
    [shown(perSecond, now.rate), "requests"], [shown(percent, now.failed_share), "failed"], [shown(millis, now.p95), "p95"],
    [shown(perSecond, now.limited), "refused"], [shown(percent, now.cache_hits), "cache hits"], [shown(cores, now.cpu), "CPU"], [shown(bytes, now.memory), "memory"],
  ];
  $("tiles").replaceChildren(...tiles.map(([value, name]) => el("div", {}, el("b", {}, value), el("span", {}, name))));
}

const colours = () => {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue("--" + name).trim();
};
function prepared(canvas) {
  const scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  canvas.width = Math.round(box.width * scale);
  canvas.height = Math.round(box.height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [pen, box.width, box.height];
}
/* 1, 2 or 5 times a power of ten, not below the value. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}
/* The same for bytes, in powers of two. */
const niceBytes = (value) => 2 ** Math.ceil(Math.log2(value * 1.05));

const figures = CHARTS.map(([title, , , ...lines]) => {
  const legend = el("span", { class: "legend" }, ...lines.map(([, , colour]) => el("span", { class: colour })));
  const canvas = el("canvas", { role: "img", "aria-label": title });
  if (lines.some(([, , , own]) => own)) canvas.dataset.two = "yes";
  $("charts").append(el("figure", {}, el("figcaption", {}, el("b", {}, title), legend), canvas));
  canvas.addEventListener("pointermove", (event) => cross(canvas, event));
  canvas.addEventListener("pointerleave", () => { state.cross = null; drawCharts(); });
  return { canvas, legend };
});
const LEFT = 46, RIGHT = 52, BOTTOM = 18, TOP = 6;
const rightOf = (canvas, width) => width - (canvas.dataset.two ? RIGHT : 6);
function cross(canvas, event) {
  if (!state.view) return;
  const box = canvas.getBoundingClientRect(), room = state.view.room;
  const slot = from() + Math.round(((event.clientX - box.left - LEFT) / (rightOf(canvas, box.width) - LEFT)) * (room - 1));
  state.cross = Math.min(Math.max(slot, from()), last());
  drawCharts();
}

function drawCharts() {
  if (!state.view) return;
  const colour = colours();
  figures.forEach((figure, at) => drawChart(figure, CHARTS[at], colour));
}
function drawChart({ canvas, legend }, [title, format, least, ...lines], colour) {
  const view = state.view, start = from(), room = view.room;
  const [pen, width, height] = prepared(canvas);
  const right = rightOf(canvas, width), bottom = height - BOTTOM;
  const x = (slot) => LEFT + ((slot - start) / Math.max(room - 1, 1)) * (right - LEFT);
  const slots = [];
  for (let slot = Math.max(start, state.first); slot < state.first + state.points.length; slot++) slots.push(slot);
  const chosen = state.cross ?? null;
  const at = chosen == null ? view.current : pointAt(chosen);
  lines.forEach(([field, name, , own], index) => {
    legend.children[index].textContent = name + " " + shown(own || format, at && at[field]);
  });
  canvas.setAttribute("aria-label", title + ": " + [...legend.children].map((child) => child.textContent).join(", "));
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("gap");
  const half = (right - LEFT) / Math.max(room - 1, 1) / 2;
  for (const slot of slots) if (!pointAt(slot)) pen.fillRect(x(slot) - half, TOP, 2 * half + 0.5, bottom - TOP);
  const values = (which) => slots.flatMap((slot) => which.map(([field]) => pointAt(slot)?.[field]).filter((value) => value != null));
  const scales = [lines.filter(([, , , own]) => !own), lines.filter(([, , , own]) => own)].map((which, side) => {
    const most = Math.max(...values(which), side ? 1 : least);
    return { which, format: side ? which[0]?.[3] : format, most: side ? niceBytes(most) : least === 100 ? 100 : nice(most) };
  });
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    const y = bottom - part * (bottom - TOP);
    pen.beginPath(); pen.moveTo(LEFT, Math.round(y) + 0.5); pen.lineTo(right, Math.round(y) + 0.5); pen.stroke();
    pen.fillStyle = colour("mild");
    pen.textBaseline = part === 1 ? "top" : part ? "middle" : "bottom";
    pen.textAlign = "right";
    pen.fillText(format(scales[0].most * part), LEFT - 5, y);
    if (scales[1].which.length && part) { pen.textAlign = "left"; pen.fillText(bytes(scales[1].most * part), right + 3, y); }
  }
  const span = room * view.step, marks = width < 420 ? 3 : 4;
  pen.textBaseline = "alphabetic";
  for (let mark = 0; mark <= marks; mark++) {
    const slot = start + Math.round(((room - 1) * mark) / marks), time = slot * view.step;
    pen.textAlign = mark === 0 ? "left" : mark === marks ? "right" : "center";
    pen.fillStyle = colour("mild");
    pen.fillText(span > 2 * 86400000 ? day(time).slice(5) : clock(time, false), x(slot), height - 4);
  }
  for (const event of view.events) {
    const slot = Math.floor(event.at / view.step);
    if (slot < start) continue;
    pen.fillStyle = colour(event.kind === "crash" ? "bad" : event.kind === "load" ? "b" : "d");
    pen.fillRect(x(slot) - 1, bottom, 2, 5);
  }
  let some = false;
  for (const { which, most } of scales) for (const [field, , name] of which) some = drawLine(pen, slots, field, colour(name), x, (value) => bottom - (Math.min(value, most) / most) * (bottom - TOP)) || some;
  if (!some) { pen.fillStyle = colour("mild"); pen.textAlign = "center"; pen.textBaseline = "middle"; pen.fillText("no data", (LEFT + right) / 2, (TOP + bottom) / 2); }
  if (chosen != null && chosen >= start) {
    pen.strokeStyle = colour("mild"); pen.beginPath(); pen.moveTo(Math.round(x(chosen)) + 0.5, TOP); pen.lineTo(Math.round(x(chosen)) + 0.5, bottom); pen.stroke();
    pen.fillStyle = colour("text"); pen.textBaseline = "top"; pen.textAlign = x(chosen) > width / 2 ? "right" : "left";
    pen.fillText((span > 7300000 ? day(chosen * view.step) + " " : "") + clock(chosen * view.step, true), x(chosen) + (x(chosen) > width / 2 ? -5 : 5), TOP);
  }
}
/* A gap ends the line; a value between two gaps is a dot. */
function drawLine(pen, slots, field, colour, x, y) {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.6;
  pen.lineJoin = "round";
  let run = [], some = false;
  const flush = () => {
    if (run.length === 1) { pen.beginPath(); pen.arc(run[0][0], run[0][1], 1.6, 0, 7); pen.fill(); }
    if (run.length > 1) { pen.beginPath(); run.forEach(([left, top], at) => (at ? pen.lineTo(left, top) : pen.moveTo(left, top))); pen.stroke(); }
    run = [];
  };
  for (const slot of slots) {
    const value = pointAt(slot)?.[field];
    if (value == null) flush();
    else { run.push([x(slot), y(value)]); some = true; }
  }
  flush();
  return some;
}

function drawRows(view) {
  const names = ["replica", "state", "restarts", "requests", "last 2 min", "p95", "failed", "CPU", "memory", "MongoDB", "rate limit"];
  $("head").replaceChildren(el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name))));
  const colour = colours();
  const rows = view.rows.map((row) => {
    const now = row.current || {}, spark = el("canvas", { class: "spark", "aria-hidden": "true" });
    const pool = now.pool_in_use == null ? "no data" : plain(now.pool_in_use) + " of " + plain(now.pool_max);
    const silent = row.answers ? {} : { class: "bad" };
    const cells = [
      el("td", {}, row.name), el("td", silent, row.answers ? row.state : "does not answer"), el("td", row.restarts ? { class: "warn" } : {}, String(row.restarts)),
      el("td", {}, shown(perSecond, now.rate)), el("td", {}, spark), el("td", {}, shown(millis, now.p95)),
      el("td", now.failed_share ? { class: "bad" } : {}, shown(percent, now.failed_share)), el("td", {}, shown(cores, now.cpu)), el("td", {}, shown(bytes, now.memory)),
      el("td", {}, pool), el("td", row.limit === "local" ? { class: "warn" } : {}, row.limit || "no data"),
    ];
    return [el("tr", {}, ...cells), spark, row.spark];
  });
  if (!rows.length) rows.push([el("tr", {}, el("td", { colspan: names.length }, "no data")), null, []]);
  $("rows").replaceChildren(...rows.map(([row]) => row));
  for (const [, canvas, values] of rows) {
    if (!canvas) continue;
    const [pen, width, height] = prepared(canvas), most = Math.max(1, ...values.filter((value) => value != null));
    const slots = values.map((_, at) => at), left = 60 - values.length;
    pen.strokeStyle = pen.fillStyle = colour("a");
    let run = false;
    pen.beginPath();
    for (const slot of slots) {
      if (values[slot] == null) { run = false; continue; }
      const place = [((slot + left) / 60) * width, height - 2 - (values[slot] / most) * (height - 4)];
      if (run) pen.lineTo(...place); else pen.moveTo(...place);
      run = true;
    }
    pen.stroke();
  }
}

function drawEvents(view) {
  const events = view.events.slice().sort((one, other) => other.at - one.at).slice(0, 100);
  const lines = events.map((event) => el("li", {}, el("time", {}, day(event.at) + " " + clock(event.at, true)), el("b", { class: event.kind }, event.kind), el("span", {}, event.text)));
  $("events").replaceChildren(...(lines.length ? lines : [el("li", { class: "mild" }, "none in this window")]));
}

function choose(name) {
  if (report) merge(report[name]);
  state.window = name;
  state.cross = null;
  for (const button of $("windows").children) button.setAttribute("aria-pressed", String(button.dataset.window === name));
  if (report) draw(); else if (state.view) load();
}
/* Also while frozen: another window of the moment that is shown would be the next one. */
async function load() {
  try {
    const answer = await fetch("/data?window=" + state.window + "&since=0", { cache: "no-store" });
    const view = answer.ok ? await answer.json() : null;
    if (view && view.window === state.window) { state.view = null; merge(view); draw(); }
  } catch (error) { /* The next poll says so. */ }
}
function freeze() {
  if (report) return;
  state.frozen = !state.frozen;
  $("freeze").setAttribute("aria-pressed", String(state.frozen));
  $("freeze").textContent = state.frozen ? "Frozen" : "Freeze";
  draw();
}
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (WINDOWS[event.key - 1]) choose(WINDOWS[event.key - 1][0]);
  else if (event.key === "f") freeze();
  else if (event.key === "Escape") { state.cross = null; drawCharts(); }
  else if (step && state.view) {
    state.cross = Math.min(Math.max((state.cross ?? last()) + step * (event.shiftKey ? 10 : 1), from()), last());
    drawCharts();
    event.preventDefault();
  }
}
for (const [name, text] of WINDOWS) {
  const button = el("button", { "data-window": name }, text);
  button.addEventListener("click", () => choose(name));
  $("windows").append(button);
}
$("freeze").addEventListener("click", freeze);
document.addEventListener("keydown", key);
window.addEventListener("resize", () => { if (state.view) draw(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (state.view) draw(); });
choose("15m");
if (report) $("freeze").hidden = true; else poll();
