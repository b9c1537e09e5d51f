// SPDX-License-Identifier: Apache-2.0
// The list of agents, and what is done with those that were found in it.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { notSoon, until } from "../lab.mjs";
import { GOOD } from "../fleet.mjs";

const WEB = "/agents?selector=env%3Dproduction%2Ctier%3Dweb";

async function rows(p) {
  const list = p.page.locator("tbody tr[aria-rowindex]");
  return list.evaluateAll((trs) => trs.map((tr) => tr.querySelector("a")?.textContent));
}

async function total(p, text) {
  await p.page.locator(".list-total").filter({ hasText: text }).waitFor();
}

async function ended(p) {
  await p.page.locator("h1").getByText("Completed").waitFor({ timeout: 60_000 });
}

async function canaries(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  await p.open(WEB);
  await total(p, "24 agents match");
  const boxes = p.page.getByRole("checkbox", { name: /^Select / });
  await boxes.nth(0).click();
  await boxes.nth(9).click({ modifiers: ["Shift"] });
  await total(p, "10 agents selected");
  const chosen = (await lab.agents("&selector=env=production,tier=web")).slice(0, 10).map((a) => a.id);

  await p.button("Upgrade to latest…").click();
  await p.dialog.getByText("10 of 10 take part").waitFor();
  const sent = p.page.waitForRequest((r) => r.method() === "POST" && r.url().endsWith("/api/v1/rollouts") && !r.postData().includes("dry_run"));
  await p.dialog.getByRole("button", { name: `Update 10 agents to ${GOOD}` }).click();
  const body = JSON.parse((await sent).postData());
  assert.deepEqual([...body.target.ids].sort(), [...chosen].sort());
  assert.equal(body.expected_count, 10);
  assert.match(body.expected_digest, /^[0-9a-f]{64}$/);
  assert.match((await sent).headers()["idempotency-key"], /^[0-9a-f-]{36}$/);

  await p.page.waitForURL(/\/rollouts\/\d+$/);
  await ended(p);
  await p.page.locator(".legend").getByRole("link", { name: "10 Succeeded" }).waitFor();

  // they are back, and nobody else was touched
  await p.open(`${WEB}&version=${GOOD}`);
  await total(p, "10 agents match");
  assert.equal(await p.page.locator("tbody").getByText("Back Online").count(), 10);
  assert.equal(await p.page.locator("tbody").getByText("Online", { exact: true }).count(), 10);
  const now = await lab.agents(`&version=${GOOD}`);
  assert.deepEqual(now.filter((a) => a.labels.tier === "web" && a.labels.env === "production").map((a) => a.id).sort(), [...chosen].sort());

  // then the rest follow: all that match, as a rule
  await p.open(`${WEB}&version=1.0.0`);
  await total(p, "14 agents match");
  await p.button("Select all 14 matching").click();
  await total(p, "All 14 matching");
  assert.equal(await boxes.first().isDisabled(), true);
  await p.button("Set version…").click();
  await p.dialog.getByRole("combobox", { name: "Version" }).selectOption(GOOD);
  await p.dialog.getByRole("radio", { name: "Step by step" }).check();
  await p.dialog.getByText("canaries first").waitFor();
  await p.dialog.getByRole("radio", { name: "All at once" }).check();
  await p.dialog.getByRole("button", { name: `Update 14 agents to ${GOOD}` }).click();
  await p.page.waitForURL(/\/rollouts\/\d+$/);
  await ended(p);
  await p.open(`${WEB}&version=${GOOD}`);
  await total(p, "24 agents match");
}

async function stepper(t) {
  const lab = await t.fleet();
  const [agent] = await lab.agents("&selector=tier=slow");
  const p = await t.signedIn(lab);
  await p.open(`/agents/${agent.id}`);
  await p.page.getByText("No update yet").waitFor();
  await p.button("Update…").click();
  await p.dialog.getByRole("combobox", { name: "Version" }).selectOption(GOOD);
  await p.dialog.getByRole("button", { name: `Update 1 agent to ${GOOD}` }).click();
  await p.page.waitForURL(/\/rollouts\/\d+$/);
  await p.link(agent.hostname).click();
  await p.page.getByRole("heading", { name: agent.hostname }).waitFor();

  // every step is seen, in its order, on a page that nobody touches
  const now = p.page.locator("li.step[aria-current=step] .step-title");
  const seen = [];
  await until(
    "the update to end",
    async () => {
      const title = (await now.textContent({ timeout: 200 }).catch(() => ""))?.split(",")[0];
      if (title && seen.at(-1) !== title) seen.push(title);
      if (title === "Downloading") await p.page.getByText(/^\d[\d.]* [kM]?B of \d+(\.\d+)? MB, \d+ %$/).waitFor();
      return (await p.page.locator("li.step.done .step-title").filter({ hasText: "Back Online" }).count()) === 1;
    },
    60_000,
  );
  assert.deepEqual(seen.filter((s) => s !== "Queued"), ["Downloading", "Verifying", "Restarting"]);
  const took = await p.page.locator("li.step .step-took").allInnerTexts();
  assert.equal(took.filter((s) => /\d s$/.test(s)).length, 5, took.join("; "));
  const medians = await p.page.locator("li.step .step-median").allInnerTexts();
  assert.ok(medians.slice(1).every((s) => /^fleet: [\d.]+ /.test(s)), medians.join("; "));
  await p.page.getByRole("row").filter({ hasText: `${GOOD}` }).getByText("Back Online").waitFor();
}

async function filters(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  await p.open("/agents");
  const everybody = await lab.agents();
  const check = async (what, keep) => {
    const expected = everybody.filter(keep).map((a) => a.hostname);
    await until(`the list of ${what}`, async () => JSON.stringify(await rows(p)) === JSON.stringify(expected.slice(0, 30)) || (expected.length > 30 && JSON.stringify((await rows(p)).slice(0, 20)) === JSON.stringify(expected.slice(0, 20))));
    await total(p, new RegExp(`^${expected.length} agents?( match)?$`));
  };
  const menu = async (title, option) => {
    await p.page.locator(".facets").getByRole("button", { name: title }).click();
    await p.page.getByRole("checkbox", { name: new RegExp(`^${option}`) }).click();
    await p.page.keyboard.press("Escape");
  };
  const os = everybody.find((a) => a.labels.tier === "db").os;
  await menu("Labels", "production");
  await check("production", (a) => a.labels.env === "production");
  await menu("Labels", "db");
  await check("production and db", (a) => a.labels.env === "production" && a.labels.tier === "db");
  await menu("System", os);
  await check(`production, db and ${os}`, (a) => a.labels.env === "production" && a.labels.tier === "db" && a.os === os);
  await menu("State", "Online");
  const combined = new URL(p.page.url());
  assert.deepEqual(Object.fromEntries(combined.searchParams), { selector: "env=production,tier=db", state: "online", os });

  // the address is the whole state: opened again, it shows the same; a group of options is taken back one by one
  await p.page.reload();
  await check("the same after a reload", (a) => a.labels.env === "production" && a.labels.tier === "db" && a.os === os);
  await p.page.goBack();
  await p.page.goBack();
  await check("two steps back", (a) => a.labels.env === "production" && a.labels.tier === "db");
  await p.button("Clear filters").click();
  await check("everybody", () => true);

  // several names, as they were copied from somewhere
  const three = [everybody[3], everybody[20], everybody[40]];
  const search = p.page.getByLabel("Search by host name or id");
  await p.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await p.page.evaluate((text) => navigator.clipboard.writeText(text), three.map((a) => a.hostname).join("\n"));
  await search.focus();
  await p.page.keyboard.press("Control+V");
  await check("three names that were pasted", (a) => three.includes(a));
  await p.page.keyboard.press("Escape");
  await check("everybody again", () => true);

  // sorted by the gateway
  await p.button("Host").click();
  await p.page.locator("th[aria-sort=descending]").filter({ hasText: "Host" }).waitFor();
  await until("the last host first", async () => (await rows(p))[0] === everybody.at(-1).hostname);
  assert.match(p.page.url(), /sort=-hostname/);

  // a selector is checked while it is typed
  p.expected.push(/status of 400/);
  const selector = p.page.getByRole("textbox", { name: "Selector" });
  await selector.fill("tier in (web");
  await p.page.getByRole("alert").filter({ hasText: /./ }).first().waitFor();
  assert.equal(await selector.getAttribute("aria-invalid"), "true");
  await selector.fill("tier in (web,slow),env!=production");
  await total(p, "18 agents match");
  assert.equal(await selector.getAttribute("aria-invalid"), null);
  await selector.fill("tier=nothing");
  await p.page.getByText("No agent matches").waitFor();
}

async function selection(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  await p.open(WEB);
  await total(p, "24 agents match");
  const boxes = p.page.getByRole("checkbox", { name: /^Select / });
  for (const i of [0, 2, 4]) await boxes.nth(i).click();
  await total(p, "3 agents selected");

  // another filter is another list: nothing that is out of sight stays selected
  await p.page.locator(".facets").getByRole("button", { name: "State" }).click();
  await p.page.getByRole("checkbox", { name: /^Online/ }).click();
  await total(p, "24 agents match");
  assert.equal(await p.page.locator("tbody input:checked").count(), 0);
  await p.page.keyboard.press("Escape");

  // labels of all that match; the number and the digest that were seen are sent
  await p.open("/agents?selector=tier%3Dkeys");
  await p.button("Select all 4 matching").click();
  await p.button("Labels…").click();
  await p.dialog.getByLabel("Label", { exact: true }).fill("wave");
  await p.dialog.getByLabel("Value").fill("1");
  await p.dialog.getByRole("button", { name: "Change 4 agents" }).click();
  await p.page.getByText("Labels of 4 agents changed.").waitFor();
  await p.page.locator("tbody").getByText("wave=1").nth(3).waitFor();

  // while somebody thinks it over, one more comes to match: nothing happens before that is seen
  await p.page.keyboard.press("Escape");
  await p.open("/agents?selector=wave%3D1");
  await p.button("Select all 4 matching").click();
  await p.button("Labels…").click();
  await p.dialog.getByLabel("Label", { exact: true }).fill("wave");
  await p.dialog.getByLabel("Value").fill("2");
  await p.dialog.getByRole("button", { name: "Change 4 agents" }).waitFor();
  const [fifth] = await lab.agents("&selector=tier=slow");
  await lab.ask("POST", "/agents/labels", { ids: [fifth.id], labels: { wave: "1" } });
  p.expected.push(/status of 409/);
  await p.dialog.getByRole("button", { name: "Change 4 agents" }).click();
  await p.dialog.getByRole("alert").filter({ hasText: /match/i }).waitFor();
  assert.equal((await lab.agents("&selector=wave=2")).length, 0);
  await p.page.keyboard.press("Escape");
  await lab.ask("POST", "/agents/labels", { selector: "wave", labels: { wave: "" } });

  // what the list shows, as a file
  await p.open(`${WEB}&sort=-hostname`);
  await total(p, "24 agents match");
  const download = p.page.waitForEvent("download");
  await p.button("Export CSV").click();
  const file = await download;
  assert.match(file.suggestedFilename(), /^agents-\d{4}-\d\d-\d\d\.csv$/);
  const lines = fs.readFileSync(await file.path(), "utf8").trim().split(/\r?\n/);
  assert.equal(lines.length, 25);
  const hosts = (await lab.agents("&selector=env=production,tier=web")).map((a) => a.hostname).reverse();
  assert.ok(lines.slice(1).every((l, i) => l.includes(hosts[i])), lines.slice(0, 3).join("\n"));
}

/** The worst first bug of consoles: more is changed than was seen. */
async function everybody(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  const all = (await lab.agents()).length;
  const rollouts = async () => (await lab.ask("GET", "/rollouts")).total;
  const before = await rollouts();
  await p.open("/agents");
  await p.button(`Select all ${all}`).click();
  await p.button("Set version…").click();
  await p.dialog.getByRole("combobox", { name: "Version" }).selectOption(GOOD);
  await p.dialog.getByText("the whole fleet").waitFor();
  const go = p.dialog.getByRole("button", { name: /^Update \d+ agents? to/ });
  const field = p.dialog.getByLabel(`Type ${all} to confirm`);
  for (const typed of ["", String(all - 1), `${all}0`, "all"]) {
    await field.fill(typed);
    await go.click();
    await p.dialog.getByText(`That is not the number of agents: type ${all}.`).waitFor();
    assert.equal(await rollouts(), before, `"${typed}" was enough`);
  }
  await p.page.keyboard.press("Escape");
  await p.dialog.waitFor({ state: "hidden" });

  // the same where rollouts are planned; outside of its window, so that nothing begins
  await p.open("/rollouts/new");
  await p.page.getByRole("radio", { name: "All agents" }).check();
  await p.page.getByText("Windows, new agents, emergency").click();
  await p.button("Add a window").click();
  for (const day of ["mon", "tue", "wed", "thu", "fri"]) await p.page.getByRole("checkbox", { name: day }).uncheck();
  await p.page.getByRole("checkbox", { name: notSoon() }).check();
  await p.page.getByRole("combobox", { name: "Release" }).selectOption(GOOD);
  await p.button(/^Review and start for/).click();
  await p.dialog.getByRole("button", { name: /^Update/ }).click();
  await p.dialog.getByText("That is not the number of agents").waitFor();
  assert.equal(await rollouts(), before);
  await p.dialog.getByLabel("to confirm").fill(String(all));
  await p.dialog.getByRole("button", { name: /^Update/ }).click();
  await p.page.waitForURL(/\/rollouts\/\d+$/);
  assert.equal(await rollouts(), before + 1);
  await p.page.getByText(/window/).first().waitFor();
  await p.button("Abort").click();
  await p.dialog.getByText("cannot be resumed").waitFor();
  await p.dialog.getByLabel("Why").fill("Only to see that it can be begun");
  await p.dialog.getByRole("button", { name: "Abort" }).click();
  await p.page.locator("h1").getByText("Aborted").waitFor();
}

export default [
  { name: "ten canaries selected and upgraded to the end, then the rest", run: canaries },
  { name: "an update is followed step by step", run: stepper },
  { name: "filters combined", run: filters },
  { name: "a selection is what is seen", run: selection },
  { name: "global refused without typing the count", run: everybody },
];
