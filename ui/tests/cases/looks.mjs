// SPDX-License-Identifier: Apache-2.0
// Every page and what opens on it, light and dark, as pictures for people, without anything that axe finds wrong; and on a
// phone, where nothing may be wider than the screen.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { BAD } from "../fleet.mjs";
import { FAST } from "../lab.mjs";
import { PHONE } from "../browser.mjs";

async function scenery(lab) {
  if (!(await lab.ask("GET", "/releases")).releases.some((r) => r.version === BAD)) await lab.release(BAD);
  const make = (version, selector, strategy, description) => lab.ask("POST", "/rollouts", { version, target: { selector }, strategy, ...(description ? { description } : {}) });
  const stopped = await make(BAD, "tier=db", { canary: { count: 4, soak_sec: 0, success_percent: 0 }, batch: { size: 6, every_sec: 1, success_percent: 0 }, max_failures: { count: 0 } });
  const running = await make(BAD, "tier=web", { canary: { count: 4, soak_sec: 0, success_percent: 0 }, batch: { size: 3, every_sec: 4, success_percent: 0 }, max_failures: { percent: 90 } }, "The web tier, before the weekend");
  return { stopped: stopped.id, running: running.id };
}

function places(lab, ids, agents) {
  return [
    ["overview", "/"],
    ["agents", "/agents"],
    ["agents-filtered", "/agents?selector=tier%3Ddb&state=online&sort=-version"],
    ["agents-none", "/agents?selector=tier%3Dnothing"],
    ["agent", `/agents/${agents.plain}`],
    ["agent-rolled-back", `/agents/${agents.back}`],
    ["rollouts", "/rollouts"],
    ["rollout-running", `/rollouts/${ids.running}`],
    ["rollout-stopped", `/rollouts/${ids.stopped}`],
    ["new-rollout", "/rollouts/new?selector=env%3Dproduction&version=1.2.0"],
    ["releases", "/releases"],
    ["enrolment", "/enrolment"],
    ["people", "/people"],
    ["audit", "/audit"],
    ["missing", "/nothing/here"],
  ];
}

/** What opens on a page; each is opened, looked at, and closed with Escape. */
const openings = [
  ["user-menu", "/", (p) => p.button("alice").click()],
  ["facet-menu", "/agents", (p) => p.page.locator(".facets").getByRole("button", { name: "Version" }).click()],
  ["update-dialog", "/agents?selector=tier%3Dkeys", async (p) => {
    await p.button(/^Select all/).click();
    await p.button("Upgrade to latest…").click();
    await p.dialog.getByText(/take part/).waitFor();
  }],
  ["labels-dialog", "/agents?selector=tier%3Dkeys", async (p) => {
    await p.button(/^Select all/).click();
    await p.button("Labels…").click();
    await p.dialog.getByText("4 agents").first().waitFor();
  }],
  ["everybody-dialog", "/agents", async (p) => {
    await p.button(/^Select all/).click();
    await p.button("Upgrade to latest…").click();
    await p.dialog.getByLabel("to confirm").fill("7");
    await p.dialog.getByRole("button", { name: /^Update/ }).click();
    await p.dialog.getByText("That is not the number").waitFor();
  }],
  ["import-dialog", "/releases", (p) => p.button("Import…").click()],
  ["user-dialog", "/people", (p) => p.button("New user…").click()],
  ["token-dialog", "/people", (p) => p.button("New token…").click()],
  ["enrolment-command", "/enrolment", async (p) => {
    await p.button("Make a token").click();
    await p.page.getByText("This is the only time that it is").waitFor();
  }],
];

async function looked(p, t, name, wrong) {
  for (const theme of ["light", "dark"]) {
    await p.theme(theme);
    await p.picture(t.pictures, `${name}-${theme}`);
    wrong.push(...(await p.axe()).map((v) => `${name}, ${theme}: ${v}`));
  }
}

async function looks(t) {
  const lab = await t.fleet();
  const wrong = [];
  const door = await t.person(lab);
  await door.page.goto("/");
  await door.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await looked(door, t, "sign-in", wrong);
  const first = await t.lab("door").startGateway();
  const nobody = await t.person(first);
  await nobody.page.goto("/");
  await nobody.page.getByRole("heading", { name: "Make the first user" }).waitFor();
  await looked(nobody, t, "first-user", wrong);

  const ids = await scenery(lab);
  const p = await t.signedIn(lab);
  await p.open(`/rollouts/${ids.stopped}`);
  await p.page.locator("h1").getByText("Stopped itself").waitFor({ timeout: 60_000 });
  const back = (await lab.agents("&update=rolled-back"))[0].id;
  const plain = (await lab.agents("&selector=tier=keys&update=succeeded"))[0] ?? (await lab.agents())[0];
  const where = places(lab, ids, { back, plain: plain.id });
  for (const [name, place] of where) {
    await p.open(place);
    await looked(p, t, name, wrong);
  }
  t.say(`${where.length + 2} pages in both themes`);
  for (const [name, place, open] of openings) {
    await p.open(place);
    await open(p);
    await p.page.waitForTimeout(200);
    await looked(p, t, name, wrong);
  }
  for (const verb of ["Resume", "Retry failed", "Abort"]) {
    await p.open(`/rollouts/${ids.stopped}`);
    await p.button(verb).click();
    await p.dialog.waitFor();
    await looked(p, t, `verb-${verb.toLowerCase().replace(" ", "-")}`, wrong);
  }
  t.say(`${openings.length + 3} menus and dialogs in both themes`);

  await p.theme("light");
  await p.page.setViewportSize(PHONE);
  for (const [name, place] of where) {
    await p.open(place);
    await p.picture(t.pictures, `${name}-phone`);
    const width = await p.page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.querySelector("main").scrollWidth));
    if (width > PHONE.width) wrong.push(`${name} is ${width} wide on a phone`);
  }
  assert.deepEqual(wrong, [], wrong.join("\n"));
}

/** docs/console.png is one of these: node ui/tests/run.mjs readme, and copy pictures/readme.png. */
async function readme(t) {
  const lab = await t.lab("readme").startGateway();
  await lab.release("1.0.0");
  await lab.release("1.1.0");
  await lab.simulate(60, { name: "production", labels: ["env=production"], options: [...FAST, "--fail=staging:3%"] });
  await lab.simulate(12, { name: "staging", first: 60, labels: ["env=staging"] });
  await lab.waitOnline(72);
  await lab.makeUser("alice", "operator");
  const p = await t.signedIn(lab, "alice", { viewport: { width: 1180, height: 690 } });
  const made = await p.api("POST", "/rollouts", {
    version: "1.1.0",
    target: { selector: "env=production" },
    description: "CVE-2026-1234, production",
    strategy: { canary: { count: 6, soak_sec: 1 }, batch: { size: 6, every_sec: 5, success_percent: 70 }, max_failures: { percent: 10 }, attempts: 1 },
  });
  await p.open(`/rollouts/${JSON.parse(made.text).id}`);
  await p.page.getByText(/^Batch [3-8]; \d+ of \d+ have begun/).waitFor({ timeout: 60_000 });
  await p.page.evaluate(() => document.activeElement?.blur());
  await p.picture(t.pictures, "readme");
  const { size } = fs.statSync(path.join(t.pictures, "readme.png"));
  assert.ok(size < 150_000, `the picture for the README has ${size} bytes`);
}

export default [
  { name: "readme: its picture", run: readme },
  { name: "looks: axe and pictures, both themes, and a phone", run: looks, max: 420_000 },
];
