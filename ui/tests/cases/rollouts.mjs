// SPDX-License-Identifier: Apache-2.0
// Rollouts that do not go well, and what is done about them.

import assert from "node:assert/strict";
import { BAD } from "../fleet.mjs";

async function planned(p) {
  await p.open("/rollouts/new");
  await p.page.getByLabel("Selector").fill("tier=db");
  await p.page.getByRole("combobox", { name: "Release" }).selectOption(BAD);
  await p.page.getByRole("combobox", { name: "How many" }).selectOption("count");
  await p.page.getByLabel("Canaries", { exact: true }).fill("2");
  // so that it is the automatic stop that stops it, and goes on when it is resumed
  await p.page.getByLabel("Must succeed").fill("0");
  await p.page.getByLabel("Watched for").first().fill("0");
  await p.page.getByLabel("Size of a batch").fill("4");
  await p.page.getByLabel("Every").fill("0.02");
  await p.page.getByLabel("Goes on when").fill("0");
  await p.page.getByRole("combobox", { name: "Stops by itself at more than" }).selectOption("count");
  await p.page.getByLabel("Failures allowed").fill("1");
}

async function stopsItself(t) {
  const lab = await t.fleet();
  if (!(await lab.ask("GET", "/releases")).releases.some((r) => r.version === BAD)) await lab.release(BAD);
  const p = await t.signedIn(lab, "otto");
  await planned(p);
  // the plan is the gateway's, and stands beside before anything is done
  const plan = p.page.getByRole("complementary", { name: "Plan" });
  await plan.getByText("16 of 16 matching agents take part").waitFor();
  await plan.getByText("Canaries, drawn across systems and kernels").waitFor();
  await plan.getByText(/5 steps; done at about/).waitFor();
  // what is wrong is said at its place
  p.expected.push(/status of 400/);
  await p.page.getByLabel("Size of a batch").fill("0");
  await p.page.locator(".field.wrong").filter({ hasText: "Size of a batch" }).getByRole("alert").waitFor();
  await p.page.getByLabel("Size of a batch").fill("4");
  await p.button("Review and start for 16 agents…").click();
  for (const text of ["2 canaries first", "4 agents every 1 s", "stops by itself when more than 1 fail"]) await p.dialog.getByText(text).waitFor();
  await p.dialog.getByRole("button", { name: `Update 16 agents to ${BAD}` }).click();
  await p.page.waitForURL(/\/rollouts\/\d+$/);
  const id = p.page.url().split("/").at(-1);
  const read = () => lab.ask("GET", `/rollouts/${id}`);

  // it stops by itself, and the page says so without being touched
  const head = p.page.locator("h1");
  await head.getByText("Stopped itself").waitFor({ timeout: 60_000 });
  const stopped = await read();
  assert.equal(stopped.state, "paused");
  assert.ok(stopped.failures >= 2 && stopped.counts.pending > 0, JSON.stringify(stopped.counts));
  await p.page.getByText(stopped.reason_text).first().waitFor();
  await p.page.locator(".gauge .tone-bad").filter({ hasText: "1 are allowed" }).waitFor();
  // failures by what they have in common, which leads to those whom it was
  const causes = p.page.getByRole("region", { name: "Failures" });
  await causes.getByText("Rolled back").first().waitFor();
  await causes.getByRole("link").first().click();
  await p.page.waitForURL(/member=/);
  const failed = p.page.getByRole("region", { name: "Agents of the rollout" });
  await failed.getByText("Rolled back").first().waitFor();

  // it is on the overview, too, and leads here
  await p.open("/");
  await p.page.getByText(`Rollout ${id} of ${BAD} stopped itself.`).waitFor();
  await p.page.getByRole("listitem").filter({ hasText: `Rollout ${id} of` }).getByRole("link").click();
  await head.getByText("Stopped itself").waitFor();

  // resumed: what failed so far was seen, it goes on
  await p.button("Resume").click();
  await p.dialog.getByText("is taken as seen").waitFor();
  await p.dialog.getByLabel("Why").fill("Half of them is what the test wants");
  await p.dialog.getByRole("button", { name: "Resume" }).click();
  await p.dialog.waitFor({ state: "hidden" });
  await p.page.waitForFunction(
    async ([where, before]) => {
      const r = await (await fetch(`/api/v1/rollouts/${where}`)).json();
      return r.admitted > before && (r.terminal || (r.state === "paused" && r.failures >= 3));
    },
    [id, stopped.admitted],
    { timeout: 60_000, polling: 300 },
  );
  // at a second stop the rest is given up; those that took it are sent back
  if (!(await read()).terminal) {
    await p.button("Abort").click();
    await p.dialog.getByText("cannot be resumed").waitFor();
    await p.dialog.getByRole("button", { name: "Abort" }).click();
    await head.getByText("Aborted").waitFor();
  } else await head.getByText("Completed").waitFor();
  const end = await read();
  assert.equal(Object.entries(end.counts).reduce((n, [k, v]) => n + (k === "excluded" ? 0 : v), 0), end.cohort);
  await p.button("Roll back").click();
  await p.dialog.getByText(`${end.counts.succeeded} agent`).first().waitFor();
  await p.dialog.getByRole("button", { name: /^Roll back \d+ agent/ }).click();
  await p.page.waitForURL((u) => !u.pathname.endsWith(`/${id}`));
  await head.getByText("Completed").waitFor({ timeout: 60_000 });
  await p.page.getByText("Takes back").waitFor();
  assert.deepEqual([...new Set((await lab.agents("&selector=tier=db")).map((a) => a.version))], ["1.0.0"]);

  // the release is marked
  await p.open("/releases");
  await p.page.getByRole("row").filter({ hasText: BAD }).getByText(/Failed on \d+/).waitFor();
  await p.button(`Files of ${BAD}`).click();
  await p.page.getByText(/went back by themselves/).waitFor();
}

async function approvals(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab, "otto");
  const { id } = await lab.ask("POST", "/rollouts", {
    version: "1.1.0",
    target: { selector: "env=staging,tier=web" },
    strategy: { canary: { count: 2, soak_sec: 0, approval: true }, batch: { size: 5, every_sec: 3600 } },
  });
  await p.open(`/rollouts/${id}`);
  const head = p.page.locator("h1");
  await head.getByText("Awaits approval").waitFor({ timeout: 60_000 });
  await p.button("Approve").click();
  await p.dialog.getByText("Batch 1 begins").waitFor();
  await p.dialog.getByRole("button", { name: "Approve" }).click();
  await head.getByText("Running").waitFor();
  // why it waits, and until when; the strip has the batches that were and those that come
  await p.page.locator(".reason").filter({ hasText: /Until .*, in (59|60|1 h)/ }).waitFor({ timeout: 60_000 });
  await p.page.getByText("Batch 1; 2 of 3 have begun").waitFor();
  assert.equal(await p.page.locator(".strip li").count(), 3);
  // pause and resume by a person: no alarm
  await p.button("Pause").click();
  await p.dialog.getByText("Periods and watch times stand still").waitFor();
  await p.dialog.getByRole("button", { name: "Pause" }).click();
  await head.getByText("Paused").waitFor();
  assert.equal(await p.page.locator(".action-bar.bad").count(), 0);
  await p.button("Resume").click();
  await p.dialog.getByText("goes on where it was").waitFor();
  await p.dialog.getByRole("button", { name: "Resume" }).click();
  await head.getByText("Running").waitFor();
  // what can be done stays in sight
  await p.page.setViewportSize({ width: 1200, height: 520 });
  await p.page.locator("main").evaluate((m) => m.scrollTo(0, m.scrollHeight));
  assert.ok(await p.button("Pause").evaluate((b) => { const r = b.getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight; }), "Pause has scrolled away");
}

export default [
  { name: "auto-paused rollout, seen and resumed", run: stopsItself },
  { name: "approval, reasons to wait, pause", run: approvals },
];
