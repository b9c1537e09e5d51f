// SPDX-License-Identifier: Apache-2.0
// What comes by itself: one stream for all tabs, cut and resumed; old requests given up; nothing jumps.

import assert from "node:assert/strict";
import { until } from "../lab.mjs";
import { Cable } from "../cable.mjs";

async function cut(t) {
  const lab = await t.fleet();
  const cable = await Cable.lay(lab.httpPort);
  try {
    const p = await t.person(lab, { baseURL: `https://localhost:${cable.port}` });
    const streams = [];
    p.context.on("request", (r) => r.url().endsWith("/api/v1/events") && streams.push(r.headers()["last-event-id"] ?? ""));
    await p.signIn("alice", "several words do well");
    await p.open("/agents?selector=tier%3Dkeys");
    const state = p.page.locator(".live");
    await state.getByText("Live", { exact: true }).waitFor();
    streams.length = 0;
    const [agent] = await lab.agents("&selector=tier=keys");
    const label = async (value) => {
      await lab.ask("POST", "/agents/labels", { ids: [agent.id], labels: { cable: value } });
    };
    const row = p.page.getByRole("row").filter({ hasText: agent.hostname });
    await label("whole");
    await row.getByText("cable=whole").waitFor({ timeout: 3000 });
    assert.equal(await p.page.locator(".stale-banner").count(), 0);

    // cut: it is said, what is there stays
    p.expected.push(/ERR_|Failed to load resource/);
    cable.cut();
    await p.page.getByText("What you see may be out of date").waitFor();
    await state.getByText("Not live").waitFor();
    await row.getByText("cable=whole").waitFor();
    await label("cut");
    await p.page.waitForTimeout(300);
    await row.getByText("cable=whole").waitFor();

    // resumed from where it was: what happened meanwhile is shown, and nothing is left of the banner
    cable.mend();
    await p.page.getByText("What you see may be out of date").waitFor({ state: "hidden", timeout: 30_000 });
    await row.getByText("cable=cut").waitFor({ timeout: 3000 });
    assert.ok(streams.length >= 1 && streams.every((id) => /^\d+/.test(id)), JSON.stringify(streams));

    // a gateway that was restarted is found again, too
    await lab.gateway.stop();
    await p.page.getByText("What you see may be out of date").waitFor();
    await lab.startGateway();
    await p.page.getByText("What you see may be out of date").waitFor({ state: "hidden", timeout: 40_000 });
    await label("again");
    await row.getByText("cable=again").waitFor({ timeout: 10_000 });
  } finally {
    await cable.close();
  }
  await lab.waitOnline((await lab.agents()).length, 30_000);
}

async function tabs(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  const streams = [];
  p.context.on("request", (r) => r.url().endsWith("/api/v1/events") && streams.push(r));
  await p.open("/agents?selector=tier%3Dkeys");
  await p.page.locator(".live").getByText("Live", { exact: true }).waitFor();
  const first = streams.length;
  const second = await p.context.newPage();
  await second.goto("/agents?selector=tier%3Dkeys");
  await second.locator(".live").getByText("Live", { exact: true }).waitFor();
  const [agent] = await lab.agents("&selector=tier=keys");
  const label = (value) => lab.ask("POST", "/agents/labels", { ids: [agent.id], labels: { tabs: value } });
  await label("both");
  for (const page of [p.page, second]) await page.getByRole("row").filter({ hasText: agent.hostname }).getByText("tabs=both").waitFor({ timeout: 3000 });
  assert.equal(streams.length, first, "a second tab has a stream of its own");
  // the one that has the stream goes: the other goes on from where it was
  await p.page.goto("about:blank");
  await until("the other tab to take the stream over", () => streams.length > first);
  assert.match(streams.at(-1).headers()["last-event-id"] ?? "", /^\d+/);
  await label("one");
  await second.getByRole("row").filter({ hasText: agent.hostname }).getByText("tabs=one").waitFor({ timeout: 3000 });
}

async function givenUp(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  await p.open("/agents");
  const given = [];
  p.context.on("requestfailed", (r) => given.push([r.url(), r.failure()?.errorText]));
  // the first answer is slow, and comes after the second
  let release;
  const held = new Promise((done) => (release = done));
  await p.page.route(/\/api\/v1\/agents(\/summary)?\?.*selector=tier%3Dweb/, async (route) => {
    await held;
    await route.continue().catch(() => undefined);
  });
  const selector = p.page.getByRole("textbox", { name: "Selector" });
  await selector.fill("tier=web");
  await p.page.waitForRequest(/\/api\/v1\/agents\?.*selector=tier%3Dweb/);
  await selector.fill("tier=db");
  await p.page.getByText("16 agents match").waitFor();
  for (const path of ["/api/v1/agents?", "/api/v1/agents/summary?"]) {
    assert.ok(given.some(([url, why]) => url.includes(path) && url.includes("selector=tier%3Dweb") && why === "net::ERR_ABORTED"), `${path}: ${JSON.stringify(given)}`);
  }
  release();
  await p.page.waitForTimeout(500);
  await p.page.getByText("16 agents match").waitFor();
  const shown = await p.page.locator("tbody .label-line").allInnerTexts();
  assert.ok(shown.length === 16 && shown.every((l) => l.includes("tier=db")), shown[0]);
}

/** Numbers change, bars grow, states follow each other; nothing moves from where it is. */
async function stands(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  await p.context.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const e of list.getEntries()) if (!e.hadRecentInput) window.shifts.push([Math.round(e.startTime), e.value, ...e.sources.map((s) => s.node?.outerHTML?.slice(0, 90) ?? "")]);
    }).observe({ type: "layout-shift", buffered: true });
  });
  const target = { selector: "env=staging,tier=slow" };
  const { id } = await lab.ask("POST", "/rollouts", { version: "1.1.0", target, strategy: { canary: { count: 1, soak_sec: 0 }, batch: { size: 2, every_sec: 1 } } });
  for (const where of ["/", "/agents", `/rollouts/${id}`, "/rollouts"]) {
    await p.open(where);
    await p.page.waitForTimeout(300);
    await p.page.evaluate(() => (window.shifts.length = 0));
    const text = await p.page.locator("main").innerText();
    await p.page.waitForTimeout(2500);
    const shifts = await p.page.evaluate(() => window.shifts);
    const sum = shifts.reduce((n, s) => n + s[1], 0);
    assert.ok(sum < 0.005, `${where} moved: ${JSON.stringify(shifts)}`);
    assert.notEqual(await p.page.locator("main").innerText(), text, `${where} shows nothing new`);
  }
}

export default [
  { name: "event stream cut and resumed", run: cut },
  { name: "one event stream for all tabs", run: tabs },
  { name: "older requests are given up", run: givenUp },
  { name: "nothing moves while live data comes in", run: stands },
];
