"use strict";
// Shows what /status says. Whatever comes from there is put in as text: nothing here reads markup.

const EVERY_MS = 2000;
const STEP_MINUTES = 10;
const ALERTS_AT_FIRST = 8;

const place = (id) => document.getElementById(id);

// What cannot be seen, or turns the reading direction, is shown by its number.
const UNSEEN = /[\p{Cc}\p{Default_Ignorable_Code_Point}\u2028\u2029\ufff0-\ufffb]/gu;
const SHORT = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);
const visible = (text) => String(text).replace(UNSEEN, (one) => SHORT.get(one) || "\\u{" + one.codePointAt(0).toString(16) + "}");

/** A new element with a text in it. */
function made(name, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined && text !== null) element.textContent = visible(text);
  if (kind) element.className = kind;
  return element;
}

/** A new element with others in it. */
function around(name, kind, children) {
  const element = made(name, null, kind);
  element.append(...children);
  return element;
}

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const number = (value) => (value === null || value === undefined ? "–" : numbers.format(value));

/** A number with the name by which a program finds it. */
function figure(name, value, text) {
  const element = made("data", text === undefined ? number(value) : text, "figure");
  element.value = String(value);
  element.dataset.figure = name;
  return element;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return numbers.format(value) + " " + units[unit];
}

function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 120) return numbers.format(seconds) + " s";
  if (seconds < 7200) return numbers.format(seconds / 60) + " min";
  if (seconds < 172800) return numbers.format(seconds / 3600) + " h";
  return numbers.format(seconds / 86400) + " days";
}

const secondsBetween = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;
const minute = (ms) => new Date(ms).toISOString().slice(11, 16);

/** Name and value, side by side. A value is a text or an element. */
function pairs(list) {
  return list.map(([name, value]) => around("div", "", [
    made("dt", name),
    value instanceof Element ? around("dd", "", [value]) : made("dd", value),
  ]));
}

// ---- What flows where

function station(kind, title, what, list) {
  return around("li", "station " + kind, [
    made("strong", title),
    made("span", what, "soft"),
    around("dl", "", pairs(list)),
  ]);
}

/** What goes from one station to the next. */
function flowing(kind, between, what, rate, name, total) {
  const second = number(rate);
  const children = [
    made("span", between, "between"),
    around("span", "rate", [made("b", second), made("span", " " + what + " a second")]),
    around("span", "soft", [figure(name, total), made("span", " in all")]),
  ];
  return around("li", "edge " + kind + (rate > 0 ? " flows" : ""), children);
}

function lagOf(status, half) {
  const known = status.partitions.filter((one) => one.half === half && one.lag !== null);
  return number(known.reduce((sum, one) => sum + one.lag, 0));
}

function flow(status) {
  const { totals, per_second: now, sources, halves } = status.topology;
  const pool = status.pool;
  const share = totals.records > 0 ? " (" + number(100 * totals.prefiltered / totals.records) + " %)" : "";
  const elsewhere = (half) => (halves.includes(half) ? "" : "not run by this instance");
  const read = sources.map((one) => [
    one.topic,
    around("span", "", [figure("source:" + one.topic, one.records), made("span", " records, " + number(one.records_per_second) + " a second")]),
  ]);
  read.push(["Bytes", around("span", "", [figure("bytes", totals.bytes, bytes(totals.bytes)), made("span", ", " + bytes(now.bytes) + " a second")])]);
  const detects = [
    ["Events parsed", figure("events", totals.events)],
    ["Set aside by their bytes", around("span", "", [figure("prefiltered", totals.prefiltered), made("span", share)])],
    ["Lag", lagOf(status, "detect")],
    ["Workers", around("span", "", [made("span", number(pool.workers)), made("span", pool.paused ? ", reading is paused" : "")])],
    ["Batches that wait", number(pool.queued_jobs) + " for workers, " + number(pool.queued_results) + " of results"],
    ["Under way", bytes(pool.in_flight_bytes) + " of " + bytes(pool.in_flight_limit_bytes)],
  ];
  const folds = [
    ["Lag", lagOf(status, "first-seen")],
    ["First sightings kept silent", figure("learned", status.state.learned)],
  ];
  place("flow").replaceChildren(
    station("sources", "Source topics", "audit events come in", read),
    flowing("e-records", "source topics → detect", "records", now.records, "records", totals.records),
    station("detect", "Detect", elsewhere("detect") || "rules are asked", detects),
    flowing("e-alerts", "detect → alerts", "alerts", now.alerts_of_detect, "alerts_of_detect", totals.alerts_of_detect),
    station("alerts", "Alerts", status.topology.alerts_topic, [["Sent, revisions included", figure("alerts", totals.alerts)]]),
    flowing("e-observations", "detect → observations", "observations", now.observations, "observations", totals.observations),
    station("observations", "Observations", status.topology.observations_topic, []),
    flowing("e-folded", "observations → first-seen", "folded", now.folded, "folded", totals.folded),
    station("first-seen", "First-seen", elsewhere("first-seen") || "what is new is told from what is known", folds),
    flowing("e-terms", "first-seen → alerts", "alerts", now.alerts_of_first_seen, "alerts_of_first_seen", totals.alerts_of_first_seen),
    flowing("e-dead", "detect → dead letters", "dead letters", now.dead_letters, "dead_letters", totals.dead_letters),
    station("dead", "Dead letters", status.topology.dead_letters_topic, []),
  );
}

// ---- Alerts

/** By the numbers that alerts carry, as on a terminal. */
function severity(value) {
  if (value === null) return ["Unknown", "low"];
  if (value >= 99) return ["Critical", "high"];
  if (value >= 73) return ["High", "high"];
  if (value >= 47) return ["Medium", "medium"];
  return ["Low", "low"];
}

function alert(one) {
  const [word, kind] = severity(one.severity);
  const head = [made("span", word, "severity")];
  if (one.rule !== null) head.push(made("strong", one.rule));
  if (one.time !== null) head.push(made("time", one.time));
  const facts = [["User", one.user], ["Outcome", one.outcome], ["Confidence", one.confidence], ["Cluster", one.cluster], ["Id", one.id]];
  return around("li", "alert " + kind, [
    around("p", "head", head),
    made("p", one.message === null ? "An alert that is too large to be shown" : one.message, "message"),
    around("dl", "line", pairs(facts.filter(([, value]) => value !== null))),
  ]);
}

let all = false;

function alerts(status) {
  const newest = status.alerts.newest;
  let note = "As they left, the newest first.";
  if (newest === null) note = "The configuration shows none here (admin.alerts).";
  else if (newest.length === 0) note = "None since the start.";
  place("alerts-note").textContent = note;
  const shown = all ? newest || [] : (newest || []).slice(0, ALERTS_AT_FIRST);
  place("alerts").replaceChildren(...shown.map(alert));
  const more = place("more");
  more.hidden = (newest || []).length <= ALERTS_AT_FIRST;
  more.textContent = all ? "Show fewer" : "Show all " + newest?.length;
  more.setAttribute("aria-expanded", String(all));
}

const sum = (counts) => counts.reduce((before, count) => before + count, 0);

/** A bar a minute, as high as the most that there were in one. */
function bars(label, counts, most) {
  const picture = place("bars").content.cloneNode(true).firstElementChild;
  const drawn = counts.map((count, at) => {
    const height = count > 0 ? Math.max(1, 23 * count / most) : 0;
    return "M" + at + " 24v" + -height.toFixed(2) + "h.8v" + height.toFixed(2) + "z";
  });
  picture.firstElementChild.setAttribute("d", drawn.join(""));
  picture.setAttribute("aria-label", visible(label));
  return picture;
}

function overTime(status) {
  const counted = status.alerts.over_time;
  const from = Date.parse(counted.from);
  const rules = Object.entries(counted.by_rule);
  const until = minute(from + counted.minutes * 60000);
  place("time-note").textContent = rules.length === 0 ? "None." : "A bar a minute, from " + minute(from) + " to " + until + " UTC; each rule by its own measure.";
  place("time").replaceChildren(...rules.map(([rule, counts]) => {
    const [count, most] = [sum(counts), Math.max(1, ...counts)];
    const words = number(count) + " alerts, at most " + number(Math.max(...counts)) + " in a minute";
    const total = status.alerts.by_rule[rule];
    const since = total === undefined ? [] : [made("span", ", "), figure("rule:" + rule, total), made("span", " since the start")];
    return around("li", "rule", [
      made("strong", rule),
      bars(rule + ": " + words, counts, most),
      around("span", "soft", [made("span", words), ...since]),
    ]);
  }));
  const heads = [["Rule", ""]];
  const steps = Math.ceil(counted.minutes / STEP_MINUTES);
  for (let step = 0; step < steps; step += 1) heads.push([minute(from + step * STEP_MINUTES * 60000), "number"]);
  table("numbers", heads, rules.map(([rule, counts]) => {
    const row = [rule];
    for (let step = 0; step < steps; step += 1) {
      row.push(number(sum(counts.slice(step * STEP_MINUTES, (step + 1) * STEP_MINUTES))));
    }
    return row;
  }));
}

// ---- Partitions, state, health

function table(id, heads, rows) {
  const head = made("tr");
  heads.forEach(([name, kind]) => {
    const cell = made("th", name, kind);
    cell.scope = "col";
    head.append(cell);
  });
  place(id).tHead.replaceChildren(head);
  place(id).tBodies[0].replaceChildren(...rows.map((values) => {
    const row = made("tr");
    values.forEach((value, at) => {
      const cell = made(at === 0 ? "th" : "td", value instanceof Element ? null : value, heads[at][1]);
      if (value instanceof Element) cell.append(value);
      if (at === 0) cell.scope = "row";
      row.append(cell);
    });
    return row;
  }));
}

/** A number, and behind it a bar as long as its share of the largest. */
function weighed(name, value, most) {
  if (value === null) return made("span", "–");
  if (value === 0) return figure(name, value);
  const bar = made("span", null, "bar");
  bar.style.width = 100 * value / most + "%";
  return around("span", "weighed", [figure(name, value), bar]);
}

function partitions(status) {
  const left = status.partitions_left_out;
  let note = "Lag is what is not done yet; age is how long ago the oldest of it, or a record just before it, was appended.";
  if (left > 0) note += " " + number(left) + " more partitions are not listed.";
  if (status.partitions.length === 0) note = "None is assigned.";
  place("partitions-note").textContent = note;
  const most = Math.max(0, ...status.partitions.map((one) => one.lag || 0));
  const heads = [["Topic and partition", ""], ["Half", ""], ["Lag", "lag"], ["Age", "number"], ["Done up to", "number"], ["End", "number"], ["State", ""]];
  table("partitions", heads, status.partitions.map((one) => [
    one.topic + " " + one.partition, one.half,
    weighed("lag:" + one.half + ":" + one.topic + ":" + one.partition, one.lag, most),
    age(one.age_seconds), number(one.done), number(one.end),
    one.restoring ? "being taken over" : "read",
  ]));
}

function learning(one, now) {
  const seconds = secondsBetween(now, one.until);
  const when = one.learns ? "learns until " + one.until + ", " + age(seconds) + " more" : "has learned since " + one.until;
  return around("li", one.learns ? "" : "good", [made("strong", one.terms_version), made("span", " " + when)]);
}

function takeover(one) {
  const bar = made("progress");
  bar.max = Math.max(1, one.until - one.from);
  bar.value = one.next - one.from;
  const text = "Partition " + one.partition + ": " + number(one.next - one.from) + " of " + number(one.until - one.from) + " offsets read";
  bar.setAttribute("aria-label", text);
  return around("li", "", [made("span", text + " "), bar]);
}

function state(status) {
  const learns = status.state.learning.map((one) => learning(one, status.now));
  place("learning").replaceChildren(...(learns.length > 0 ? learns : [made("li", "No rule of new terms has begun to learn here.", "soft")]));
  const waiting = status.partitions.filter((one) => one.restoring).length;
  const takeovers = status.state.restores.map(takeover);
  if (waiting > 0) takeovers.unshift(made("li", number(waiting) + " partitions are being taken over."));
  place("takeovers").replaceChildren(...(takeovers.length > 0 ? takeovers : [made("li", "Nothing is being taken over.", "soft")]));
}

function rules(status) {
  const reloads = Object.entries(status.rules.reloads).map(([result, count]) => number(count) + " " + result);
  place("rules").replaceChildren(...pairs([
    ["In force", figure("rules", status.rules.count)],
    ["Exceptions", figure("exceptions", status.rules.exceptions)],
    ["Set", status.rules.hash || "–"],
    ["Read again", reloads.join(", ") || "–"],
  ]));
}

function health(status) {
  place("health").replaceChildren(...status.ready.checks.map((check) => {
    const name = (check.half ? check.half + ", " : "") + check.name;
    return made("li", (check.ok ? "✓ " : "✗ ") + name + ": " + (check.ok ? "yes" : "no") + " (" + check.reason + ")", check.ok ? "good" : "bad");
  }));
}

function warnings(status) {
  const list = status.warnings.map((text) => made("li", "⚠ " + text, "bad"));
  place("warnings").replaceChildren(...(list.length > 0 ? list : [made("li", "✓ Nothing to warn of.", "good")]));
}

function about(status) {
  place("about").replaceChildren(...pairs([
    ["Cluster", status.cluster], ["Instance", status.instance], ["Role", status.role], ["Group", status.group],
    ["Version", status.version], ["Since", status.started], ["As of", status.now],
  ]));
}

function verdict(status) {
  const count = status.warnings.length;
  const warned = count === 0 ? "" : count === 1 ? ", one warning" : ", " + number(count) + " warnings";
  if (!status.live.live) say("A thread is stuck" + warned, "bad");
  else if (!status.ready.ready) say("Not ready" + warned, "bad");
  else say("Ready" + warned, count === 0 ? "good" : "warned");
}

/** Says it only when it is news, so that a screen reader does not repeat it. */
function say(text, kind) {
  const spot = place("verdict");
  if (spot.textContent !== text) spot.textContent = text;
  spot.className = kind;
}

const parts = [
  [about, (status) => status.now],
  [verdict, (status) => [status.live, status.ready, status.warnings]],
  [warnings, (status) => status.warnings],
  [flow, (status) => [status.topology, status.pool, status.state, status.partitions]],
  [alerts, (status) => [status.alerts.newest, all]],
  [overTime, (status) => [status.alerts.over_time, status.alerts.by_rule]],
  [partitions, (status) => status.partitions],
  [state, (status) => [status.state, status.partitions]],
  [rules, (status) => status.rules],
  [health, (status) => status.ready],
];

const shown = new Map();
let latest = null;

/** Draws anew what has changed; what has not keeps its selection. */
function show(status) {
  latest = status;
  parts.forEach(([part, of]) => {
    const now = JSON.stringify(of(status));
    if (shown.get(part) === now) return;
    part(status);
    shown.set(part, now);
  });
  document.body.dataset.shown = status.now;
}

let stopped = false;

async function refresh() {
  if (!stopped && !document.hidden) {
    try {
      const answer = await fetch("status", { cache: "no-store" });
      show(await answer.json());
    } catch (error) {
      say("No answer; what stands here is old", "bad");
      shown.delete(verdict);
    }
  }
  window.setTimeout(refresh, EVERY_MS);
}

place("pause").addEventListener("click", (event) => {
  stopped = !stopped;
  event.currentTarget.setAttribute("aria-pressed", String(stopped));
});
place("more").addEventListener("click", () => {
  all = !all;
  if (latest) show(latest);
});
refresh();
