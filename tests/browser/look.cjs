// Looks at the status page in a real browser and prints as JSON what it saw; it judges nothing.
//
// Usage: node look.cjs URL NAME
// NODE_PATH names the folder with the modules of package.json, KUBETELL_BROWSER the browser, and
// KUBETELL_BROWSER_PICTURES, if it is set, the folder that pictures NAME-VIEW.png are written to.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const axe = require("axe-core");
const puppeteer = require("puppeteer-core");

const [url, name] = process.argv.slice(2);
const pictures = process.env.KUBETELL_BROWSER_PICTURES;
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };
const DESKTOP = { width: 1400, height: 900 };
const VIEWS = [
  { name: "light", viewport: DESKTOP, scheme: "light" },
  { name: "dark", viewport: DESKTOP, scheme: "dark" },
  { name: "phone-light", viewport: PHONE, scheme: "light" },
  { name: "phone-dark", viewport: PHONE, scheme: "dark" },
];
/** More than there are controls: a trap for the keyboard ends there. */
const TABS_MAX = 60;
const ANSWER_MAX_MS = 120_000;

/** What is wrong for people with other eyes and hands, by axe. */
async function faults(page) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() =>
    window.axe.run(document, { rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] }));
  return {
    passed: result.passes.length,
    violations: result.violations.map(({ id, impact, help, nodes }) => ({
      id, impact, help, nodes: nodes.slice(0, 5).map((node) => node.html.slice(0, 200) + " " + node.failureSummary),
    })),
  };
}

/** Names of the elements that can be reached, and of those the keyboard does reach. */
async function keyboard(page) {
  await page.evaluate(() => {
    const controls = document.querySelectorAll("a[href], button, summary, input, select, [tabindex='0']");
    const seen = [...controls].filter((one) => one.checkVisibility());
    seen.forEach((one, at) => { one.dataset.control = at + ":" + (one.id || one.textContent.trim().slice(0, 30)); });
    document.activeElement.blur();
  });
  const controls = await page.$$eval("[data-control]", (all) => all.map((one) => one.dataset.control));
  const reached = [];
  const unmarked = [];
  for (let tab = 0; tab < TABS_MAX; tab += 1) {
    await page.keyboard.press("Tab");
    const [control, outline] = await page.evaluate(() => {
      const at = document.activeElement;
      const style = getComputedStyle(at);
      return [at.dataset.control, style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth)];
    });
    if (!control || reached.includes(control)) break;
    reached.push(control);
    if (!(outline >= 2)) unmarked.push(control);
  }
  return { controls, reached, unmarked };
}

/** What the controls do when the keyboard uses them: before and after. */
async function use(page) {
  const press = async (selector, key) => {
    await page.focus(selector);
    await page.keyboard.press(key);
  };
  const state = () => page.evaluate(() => ({
    pressed: document.getElementById("pause").getAttribute("aria-pressed"),
    alerts: document.querySelectorAll("#alerts > li").length,
    more: document.getElementById("more").textContent,
    expanded: document.getElementById("more").getAttribute("aria-expanded"),
    details: document.querySelector("details").open,
    focused: document.activeElement.id,
  }));
  const before = await state();
  await press("#pause", "Space");
  if (await page.$eval("#more", (more) => !more.hidden)) await press("#more", "Enter");
  await press("summary", "Enter");
  await press(".skip", "Enter");
  const after = await state();
  return { before, after };
}

/** What it says while nobody answers, and once somebody does again. */
async function outage(page) {
  const said = (words) => page.waitForFunction(
    (words) => document.getElementById("verdict").textContent.startsWith(words), { timeout: ANSWER_MAX_MS }, words);
  const verdict = () => page.$eval("#verdict", (spot) => spot.textContent);
  if (await page.$eval("#pause", (pause) => pause.getAttribute("aria-pressed") === "true")) {
    await page.focus("#pause");
    await page.keyboard.press("Space");
  }
  await page.setOfflineMode(true);
  await said("No answer");
  const during = await verdict();
  await page.setOfflineMode(false);
  await said("Ready");
  return { during, after: await verdict() };
}

/** What stands on the page, as whoever reads it has it. */
const read = (page) => page.evaluate(() => {
  const figures = {};
  document.querySelectorAll("[data-figure]").forEach((one) => {
    (figures[one.dataset.figure] ||= []).push(one.textContent);
  });
  const elements = {};
  document.querySelectorAll("*").forEach((one) => {
    const tag = one.localName;
    elements[tag] = (elements[tag] || 0) + 1;
  });
  const inAlerts = [...document.querySelectorAll("#alerts *")].map((one) => one.localName);
  const attributes = [...document.querySelectorAll("#alerts *")].flatMap((one) => one.getAttributeNames());
  const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent);
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")]
    .filter((one) => !one.closest(".scroll > *") && !one.closest(".skip") && !one.closest("svg > *"))
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > width + 1)
    .map((one) => one.localName + "." + one.className + ": " + one.textContent.slice(0, 60));
  const paint = getComputedStyle(document.body);
  return {
    figures, elements,
    in_alerts: [...new Set(inAlerts)].sort(),
    alert_attributes: [...new Set(attributes)].sort(),
    text: document.body.textContent,
    verdict: document.getElementById("verdict").textContent,
    warnings: texts("#warnings > li"),
    partitions: [...document.querySelectorAll("#partitions tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent)),
    health: texts("#health > li"),
    learning: texts("#learning > li"),
    bars: [...document.querySelectorAll("#time svg")].map((one) => one.getAttribute("aria-label")),
    ran: window.ran ?? null,
    width, scroll_width: document.documentElement.scrollWidth, wide: wide.slice(0, 10),
    ground: paint.backgroundColor, ink: paint.color,
  };
});

async function look(browser, view) {
  const said = [];
  try {
    return await looked(await browser.newPage(), view, said);
  } catch (error) {
    error.message += "\nthe browser said: " + (said.join("\n") || "nothing");
    throw error;
  }
}

async function looked(page, view, said) {
  page.on("console", (message) => said.push(message.type() + ": " + message.text()));
  page.on("pageerror", (error) => said.push("error: " + error.message));
  page.on("dialog", (dialog) => { said.push("dialog: " + dialog.message()); dialog.dismiss(); });
  page.on("requestfailed", (request) => said.push("failed: " + request.url()));
  const asked = new Set();
  page.on("request", (request) => asked.add(request.url()));
  await page.evaluateOnNewDocument(() => {
    window.broken = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      window.broken.push(event.violatedDirective + " " + event.blockedURI + " " + event.sample));
  });
  await page.setViewport(view.viewport);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: view.scheme }]);
  await page.goto(url, { waitUntil: "load", timeout: ANSWER_MAX_MS });
  await page.waitForFunction(() => document.body.dataset.shown, { timeout: ANSWER_MAX_MS });
  // What the server says before and after what is read.
  const answers = () => page.evaluate(async () => ({
    status: await (await fetch("status")).json(),
    metrics: await (await fetch("metrics")).text(),
  }));
  const before = await answers();
  await page.evaluate((last) => { window.last = last; }, before.status.now);
  await page.waitForFunction(() => document.body.dataset.shown > window.last, { timeout: ANSWER_MAX_MS });
  const seen = await read(page);
  const after = await answers();
  if (pictures) {
    fs.mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: path.join(pictures, name + "-" + view.name + ".png"), fullPage: true });
  }
  const reach = await keyboard(page);
  const uses = await use(page);
  const alerts = await page.$$eval("#alerts > li", (all) => all.map((one) => ({
    severity: one.querySelector(".severity").textContent,
    message: one.querySelector(".message").textContent,
    text: one.textContent,
  })));
  const broken = await page.evaluate(() => window.broken);
  const told = [...said];
  // Last, since its own script is put into the page. Opened details are looked at as well.
  const access = await faults(page);
  const outages = await outage(page);
  const ran = await page.evaluate(() => window.ran ?? null);
  await page.close();
  return { name: view.name, said: told, broken, asked: [...asked], before, seen, after, keyboard: reach, uses, alerts, axe: access, outage: outages, ran };
}

(async () => {
  const browser = await puppeteer.launch({
    timeout: ANSWER_MAX_MS,
    executablePath: process.env.KUBETELL_BROWSER || "/usr/bin/chromium",
    args: ["--disable-gpu", "--disable-dev-shm-usage", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
  });
  try {
    const views = [];
    for (const view of VIEWS) views.push(await look(browser, view));
    process.stdout.write(JSON.stringify({ browser: await browser.version(), views }) + "\n");
  } finally {
    await browser.close();
  }
})().catch((error) => {
  process.stderr.write(error.message + "\n" + error.stack + "\n");
  process.exitCode = 1;
});
