// SPDX-License-Identifier: Apache-2.0
//
// node real.mjs URL SETUP-CODE-FILE VERSION PICTURES HOST...: in a browser, what a person would do with a new gateway and these real
// machines: make the first user, choose them, upgrade them, and follow one of them until it is back. For tests/systemd.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import { Browser } from "./browser.mjs";
import { PASSWORD, until } from "./lab.mjs";

const [url, codeFile, version, pictures, ...hosts] = process.argv.slice(2);
const WAIT = 100_000;

async function upgrade(p) {
  await p.page.goto("/agents");
  await p.page.getByLabel("One-time code").fill(fs.readFileSync(codeFile, "utf8").trim());
  await p.page.getByLabel("Name").fill("alice");
  await p.page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await p.page.getByLabel("Password, again").fill(PASSWORD);
  await p.button("Make the first user").click();
  await p.page.getByRole("heading", { name: "Agents" }).waitFor();
  for (const host of hosts) await p.page.getByRole("checkbox", { name: `Select ${host}`, exact: true }).check();
  await p.page.getByText(`${hosts.length} agents selected`).waitFor();
  await p.button("Upgrade to latest…").click();
  await p.dialog.getByRole("button", { name: `Update ${hosts.length} agents to ${version}` }).click();
  await p.page.waitForURL(/\/rollouts\/\d+$/);
  const rollout = p.page.url();

  await p.link(hosts[0], { exact: true }).click();
  await p.page.getByRole("heading", { name: hosts[0] }).waitFor();
  const seen = [];
  const now = p.page.locator("li.step[aria-current=step] .step-title");
  await until(
    `${hosts[0]} to be back`,
    async () => {
      const title = (await now.textContent({ timeout: 100 }).catch(() => ""))?.split(",")[0];
      if (title && seen.at(-1) !== title) seen.push(title);
      return (await p.page.locator("li.step.done .step-title").filter({ hasText: "Back Online" }).count()) === 1;
    },
    WAIT,
  );
  process.stdout.write(`${hosts[0]}: ${[...seen, "Back Online"].join(" -> ")}\n`);
  // verifying takes a fraction of a second here, and updates of the page come four times a second
  assert.ok(seen.includes("Restarting"), seen.join());
  await p.picture(pictures, "real-agent");

  await p.page.goto(rollout);
  await p.page.locator("h1").getByText("Completed").waitFor({ timeout: WAIT });
  await p.page.locator(".legend").getByRole("link", { name: `${hosts.length} Succeeded` }).waitFor();
  await p.open(`/agents?version=${version}&state=online`);
  for (const host of hosts) await p.page.getByRole("row").filter({ hasText: host }).getByText("Back Online").waitFor();
  process.stdout.write(`${hosts.length} machines at ${version}, as the console shows\n`);
}

const browser = await Browser.launch();
const person = await browser.person({ url });
try {
  await upgrade(person);
  assert.deepEqual(person.unexpected(), []);
} catch (error) {
  await person.picture(pictures, "failed-real").catch(() => undefined);
  process.stderr.write(`${person.page.url()}: ${(await person.page.locator("body").innerText().catch(() => "")).replace(/\s+/g, " ").slice(0, 800)}\n`);
  throw error;
} finally {
  await browser.close();
}
