"use strict";
// Shows what /status says. Whatever comes from there is put in as text: nothing here reads markup.

const EVERY_MS = 3000;
const STEP_MINUTES = 10;

const place = (id) => document.getElementById(id);

/** A new element with a text in it. */
function made(name, text, kind) {
  const element = document.createElement(name);
  if (text !== undefined && text !== null) element.textContent = String(text);
  if (kind) element.className = kind;
  return element;
}

function fill(parent, children) {
  parent.replaceChildren(...children);
}

const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const number = (value) => (value === null || value === undefined ? "–" : numbers.format(value));

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
  return numbers.format(seconds / 3600) + " h";
}

function terms(id, pairs) {
  fill(place(id), pairs.map(([name, value]) => {
    const group = made("div");
    group.append(made("dt", name), made("dd", value));
    return group;
  }));
}

function table(id, heads, rows) {
  const head = made("tr");
  heads.forEach(([name, kind]) => {
    const cell = made("th", name, kind);
    cell.scope = "col";
    head.append(cell);
  });
  fill(place(id).tHead, [head]);
  fill(place(id).tBodies[0], rows.map((values) => {
    const row = made("tr");
    values.forEach((value, at) => {
      const cell = made(at === 0 ? "th" : "td", value, heads[at][1]);
      if (at === 0) cell.scope = "row";
      row.append(cell);
    });
    return row;
  }));
}

function flow(status) {
  const { totals, per_second: now } = status.topology;
  const both = (name) => number(totals[name]) + ", " + number(now[name]) + " a second";
  terms("flow", [
    ["Records read", both("records")],
    ["Bytes read", bytes(totals.bytes) + ", " + bytes(now.bytes) + " a second"],
    ["Set aside by their bytes", both("prefiltered")],
    ["Events parsed", both("events")],
    ["Observations", both("observations")],
    ["Folded", both("folded")],
    ["Alerts", both("alerts")],
    ["Dead letters", both("dead_letters")],
    ["Under way", bytes(status.pool.in_flight_bytes) + " of " + bytes(status.pool.in_flight_limit_bytes)],
    ["Batches that wait", number(status.pool.queued_jobs) + " for workers, " + number(status.pool.queued_results) + " for the detect thread"],
  ]);
}

function alert(one) {
  const item = made("li");
  const about = [one.time, one.rule, one.confidence, one.outcome, one.cluster, one.user];
  item.append(
    made("p", one.message === null ? "An alert that is too large to be shown" : one.message),
    made("p", about.filter((part) => part !== null).join(" · "), "soft"),
    made("p", one.id, "soft"),
  );
  return item;
}

function alerts(status) {
  const newest = status.alerts.newest;
  let note = "";
  if (newest === null) note = "The configuration shows none here (admin.alerts).";
  else if (newest.length === 0) note = "None since the start.";
  place("alerts-note").textContent = note;
  fill(place("alerts"), (newest || []).map(alert));
}

function overTime(status) {
  const counted = status.alerts.over_time;
  const from = Date.parse(counted.from);
  const steps = Math.ceil(counted.minutes / STEP_MINUTES);
  const heads = [["Rule", ""]];
  for (let step = 0; step < steps; step += 1) {
    const begin = new Date(from + step * STEP_MINUTES * 60000);
    heads.push([begin.toISOString().slice(11, 16), "number"]);
  }
  const rows = Object.entries(counted.by_rule).map(([rule, counts]) => {
    const row = [rule];
    for (let step = 0; step < steps; step += 1) {
      const part = counts.slice(step * STEP_MINUTES, (step + 1) * STEP_MINUTES);
      row.push(number(part.reduce((sum, count) => sum + count, 0)));
    }
    return row;
  });
  table("time", heads, rows);
}

function partitions(status) {
  const left = status.partitions_left_out;
  place("partitions-note").textContent = left > 0 ? number(left) + " more are not listed." : "";
  const heads = [["Half", ""], ["Topic", ""], ["Partition", "number"], ["Done", "number"], ["End", "number"], ["Lag", "number"], ["Age", "number"], ["State", ""]];
  table("partitions", heads, status.partitions.map((one) => [
    one.half, one.topic, one.partition, one.done, one.end === null ? "–" : one.end,
    number(one.lag), age(one.age_seconds), one.restoring ? "being taken over" : "read",
  ]));
}

function state(status) {
  const pairs = [
    ["Rules in force", number(status.rules.count)],
    ["Exceptions", number(status.rules.exceptions)],
    ["Set of rules", status.rules.hash || "–"],
    ["First sightings kept silent", number(status.state.learned)],
  ];
  status.state.learning.forEach((one) => {
    pairs.push([one.terms_version, (one.learns ? "learns until " : "has learned since ") + one.until]);
  });
  status.state.restores.forEach((one) => {
    pairs.push(["Takeover of partition " + one.partition, number(one.next - one.from) + " of " + number(one.until - one.from) + " read"]);
  });
  terms("state", pairs);
}

function health(status) {
  fill(place("health"), status.ready.checks.map((check) => {
    const name = (check.half ? check.half + ", " : "") + check.name;
    return made("li", name + ": " + (check.ok ? "yes" : "no") + " (" + check.reason + ")", check.ok ? "good" : "bad");
  }));
}

function show(status) {
  place("about").textContent = [
    "version " + status.version, "instance " + status.instance, "role " + status.role,
    "cluster " + status.cluster, "group " + status.group, "since " + status.started,
  ].join(" · ");
  let verdict = "Ready";
  if (!status.live.live) verdict = "A thread is stuck";
  else if (!status.ready.ready) verdict = "Not ready";
  say(verdict, status.live.live && status.ready.ready);
  const warnings = status.warnings.map((text) => made("li", text, "bad"));
  fill(place("warnings"), warnings.length > 0 ? warnings : [made("li", "None", "good")]);
  [flow, alerts, overTime, partitions, state, health].forEach((part) => part(status));
}

/** Says it only when it is news, so that a screen reader does not repeat it. */
function say(text, good) {
  const verdict = place("verdict");
  if (verdict.textContent !== text) verdict.textContent = text;
  verdict.className = good ? "good" : "bad";
}

let stopped = false;

async function refresh() {
  if (!stopped && !document.hidden) {
    try {
      const answer = await fetch("status", { cache: "no-store" });
      show(await answer.json());
    } catch (error) {
      say("No answer; what stands here is old", false);
    }
  }
  window.setTimeout(refresh, EVERY_MS);
}

place("pause").addEventListener("click", (event) => {
  stopped = !stopped;
  event.currentTarget.setAttribute("aria-pressed", String(stopped));
});
refresh();
