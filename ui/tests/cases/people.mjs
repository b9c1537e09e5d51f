// SPDX-License-Identifier: Apache-2.0
// Who may do what.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { PASSWORD, SOURCE, notSoon } from "../lab.mjs";

/** Every route that changes something and is not a viewer's, from the gateway's own table. */
function changingRoutes() {
  const table = fs.readFileSync(path.join(SOURCE, "src/gateway/api.c"), "utf8");
  const rows = [...table.matchAll(/\{ "(POST|PUT|PATCH|DELETE)", "\/api\/v1(\/[^"]*)", API_ROLE_(\w+),/g)];
  return rows.filter((r) => r[3] === "OPERATOR" || r[3] === "ADMIN").map((r) => [r[1], r[2]]);
}

async function everything(lab) {
  const lists = ["/agents?limit=1000", "/rollouts", "/releases", "/desired", "/groups", "/join-tokens", "/api-tokens", "/users"];
  const all = {};
  for (const l of lists) all[l] = await lab.ask("GET", l);
  // what goes on by itself
  const still = JSON.stringify(all, (k, v) => (["last_seen", "last_used", "last_login", "connected", "revision", "updated", "address", "total"].includes(k) ? undefined : v));
  return still;
}

const BUTTONS = /Upgrade|Set version|Labels…|Update…|Remove|Import|New rollout|Roll out|Revoke|Make a token|Pause$|Resume|Abort$|Approve|Retry|Roll back|New user|Change/;

async function viewer(t) {
  const lab = await t.fleet();
  const [agent] = await lab.agents("&selector=tier=web");
  const rollout = await lab.ask("POST", "/rollouts", { version: "1.1.0", target: { ids: [agent.id] }, strategy: { windows: [{ days: [notSoon()], start: "00:00", duration_sec: 600, time_zone: "Etc/UTC" }] } });
  const before = await everything(lab);
  const p = await t.signedIn(lab, "vera");
  const pages = ["/", "/agents", `/agents/${agent.id}`, "/rollouts", `/rollouts/${rollout.id}`, "/rollouts/new", "/releases", "/enrolment"];
  for (const where of pages) {
    await p.open(where);
    const buttons = await p.page.getByRole("button").allInnerTexts();
    assert.deepEqual(buttons.filter((b) => BUTTONS.test(b)), [], `at ${where}`);
    assert.equal(await p.page.locator("tbody input[type=checkbox]").count(), 0, `boxes at ${where}`);
  }
  await p.open("/agents");
  assert.deepEqual(await p.page.locator("#nav ul a").allInnerTexts(), ["Overview", "Agents", "Rollouts", "Releases", "Enrolment", "Users and tokens"]);
  await p.open("/audit");
  await p.page.getByText("Your role does not allow this").waitFor();

  // and by hand, with the session and the CSRF token of the console
  const routes = changingRoutes();
  assert.ok(routes.length >= 20, `${routes.length} routes were found`);
  p.expected.push(/status of 403/);
  const bodies = { "/rollouts": { version: "1.1.0", target: { all: true } }, "/agents/labels": { all: true, labels: { x: "y" } }, "/join-tokens": { uses: 1 }, "/users": { name: "eve", password: PASSWORD, role: "admin" } };
  for (const [method, route] of routes) {
    const where = route.replace(/\{[^}]*\}/, route.includes("agents") ? agent.id : String(rollout.id)).replace(/\{[^}]*\}/g, "abort").replace("*", "metadata/timestamp.json");
    const { status, type, text } = await p.api(method, where, method === "DELETE" ? undefined : (bodies[route] ?? {}));
    assert.equal(status, 403, `${method} ${where}: ${status} ${text}`);
    assert.match(type, /application\/problem\+json/);
  }
  t.say(`${routes.length} routes refused`);
  assert.equal(await everything(lab), before, "something has changed");

  // a viewer's own password and tokens are a viewer's to change
  await p.open("/people");
  await p.button("New token…").waitFor();
  await lab.ask("POST", `/rollouts/${rollout.id}/abort`, {});
}

async function usersAndTokens(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  await p.open("/people");
  await p.button("New user…").click();
  await p.dialog.getByLabel("Name").fill("Bob");
  await p.dialog.getByLabel("Password").fill("short");
  p.expected.push(/status of 400/);
  await p.dialog.getByRole("button", { name: "Make user" }).click();
  await p.dialog.getByRole("alert").first().waitFor();
  await p.dialog.getByLabel("Name").fill("bob");
  await p.dialog.getByLabel("Password").fill(PASSWORD);
  await p.dialog.getByRole("radio", { name: "Operator" }).check();
  await p.dialog.getByRole("button", { name: "Make user" }).click();
  const row = p.page.getByRole("row").filter({ hasText: "bob" });
  await row.getByText("operator").waitFor();

  const change = async (what, verb) => {
    await row.getByRole("button", { name: /Change/ }).click();
    await row.getByRole("button", { name: what }).click();
    if (what === "Role…") await p.dialog.getByRole("radio", { name: "Viewer" }).check();
    await p.dialog.getByRole("button", { name: verb }).click();
    await p.dialog.waitFor({ state: "hidden" });
  };
  await change("Role…", "Change role");
  await row.getByText("viewer").waitFor();
  await change("Disable…", "Disable");
  await row.getByText("Disabled").waitFor();
  await change("Remove…", "Remove user");
  await row.waitFor({ state: "detached" });

  await p.button("New token…").click();
  await p.dialog.getByLabel("What it is for").fill("CI of the console");
  await p.dialog.getByRole("checkbox", { name: "agents" }).check();
  await p.dialog.getByRole("button", { name: "Make token" }).click();
  const secret = (await p.dialog.locator("pre").innerText()).trim();
  await p.dialog.getByRole("button", { name: "Done" }).click();
  assert.equal((await lab.api("GET", "/agents?limit=1", undefined, { token: secret })).status, 200);
  assert.equal((await lab.api("GET", "/rollouts", undefined, { token: secret })).status, 403);
  await p.button("Revoke CI of the console").click();
  await p.dialog.getByRole("button", { name: "Revoke" }).click();
  await p.page.getByRole("row").filter({ hasText: "CI of the console" }).waitFor({ state: "detached" });
  assert.equal((await lab.api("GET", "/agents?limit=1", undefined, { token: secret })).status, 401);

  // all of it is in the audit log
  await p.open("/audit?actor=user%3Aalice");
  for (const text of ["made user bob", "changed user bob", "removed user bob"]) await p.page.getByText(text).first().waitFor();
}

export default [
  { name: "viewer cannot change anything, also not by calling the API", run: viewer },
  { name: "users and tokens", run: usersAndTokens },
];
