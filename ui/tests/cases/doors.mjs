// SPDX-License-Identifier: Apache-2.0
// The door: the first user, signing in and out.

import assert from "node:assert/strict";
import { PASSWORD } from "../lab.mjs";

async function firstUser(t) {
  const lab = await t.lab("first").startGateway();
  const p = await t.person(lab);
  await p.page.goto("/");
  await p.page.getByRole("heading", { name: "Make the first user" }).waitFor();
  const make = p.button("Make the first user");
  await p.page.getByLabel("One-time code").fill("0000-0000-0000-0000-0000");
  await p.page.getByLabel("Name").fill("alice");
  await p.page.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await p.page.getByLabel("Password, again").fill("something else entirely");
  assert.equal(await make.isDisabled(), true, "two passwords that differ are accepted");
  await p.page.getByLabel("Password, again").fill(PASSWORD);
  p.expected.push(/status of 40[013]/);
  await make.click();
  await p.page.getByRole("alert").filter({ hasText: /code/ }).waitFor();
  // the code that the gateway has written down
  await p.page.getByLabel("One-time code").fill(lab.setupCode());
  await make.click();
  await p.page.getByRole("heading", { name: "Overview" }).waitFor();
  await p.page.getByText("No agent has enrolled yet").waitFor();
  assert.deepEqual((await lab.ask("GET", "/users")).users.map((u) => [u.name, u.role]), [["alice", "admin"]]);

  // it was good once
  const q = await t.person(lab);
  await q.page.goto("/");
  await q.page.getByRole("heading", { name: "Sign in" }).waitFor();
}

async function signingIn(t) {
  const lab = await t.fleet();
  const p = await t.person(lab);
  await p.page.goto("/agents?selector=tier%3Dweb&sort=-version");
  p.expected.push(/status of 401/);
  await p.page.getByLabel("Name").fill("alice");
  await p.page.getByLabel("Password").fill("not this one, surely");
  await p.button("Sign in").click();
  await p.page.getByRole("alert").filter({ hasText: /name or the password/i }).waitFor();
  await p.page.getByLabel("Password").fill(PASSWORD);
  await p.page.keyboard.press("Enter");
  // where one wanted to go
  await p.page.getByRole("heading", { name: "Agents" }).waitFor();
  assert.match(p.page.url(), /\/agents\?selector=tier%3Dweb&sort=-version$/);
  const cookies = await p.context.cookies();
  assert.deepEqual(cookies.map((c) => [c.name, c.secure, c.httpOnly, c.sameSite]), [["__Host-fleet-session", true, true, "Strict"]]);
  assert.equal(await p.page.evaluate(() => document.cookie), "");

  await p.button("alice").click();
  await p.button("Sign out").click();
  await p.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await p.page.goto("/releases");
  await p.page.getByRole("heading", { name: "Sign in" }).waitFor();
}

async function sessionEnds(t) {
  const lab = await t.fleet();
  await lab.makeUser("dora", "operator");
  const p = await t.signedIn(lab, "dora");
  await p.open("/rollouts");
  p.expected.push(/status of 401/);
  const { headers } = await lab.api("GET", "/users/dora");
  const { status } = await lab.api("PATCH", "/users/dora", { disabled: true }, { headers: { "If-Match": headers.etag } });
  assert.equal(status, 200);
  // the event stream ends with the session, and says so without anybody touching anything
  await p.page.getByText("Your session has ended").waitFor();
  await p.page.getByRole("heading", { name: "Sign in" }).waitFor();
}

/** What fails all other cases is really noticed. */
async function complaints(t) {
  const lab = await t.fleet();
  const p = await t.signedIn(lab);
  const provoke = async (what, expected) => {
    p.complaints.length = 0;
    await p.page.evaluate(what).catch(() => undefined);
    await p.page.waitForTimeout(200);
    assert.ok(p.unexpected().some((c) => expected.test(c)), `${what} was not noticed: ${p.complaints}`);
  };
  await provoke(() => document.head.append(Object.assign(document.createElement("style"), { textContent: "h1 { color: red }" })), /policy violation: style-src/);
  await provoke(() => (document.createElement("div").innerHTML = "<b>x</b>"), /policy violation: require-trusted-types-for/);
  await provoke(() => document.body.append(Object.assign(new Image(), { src: "https://example.invalid/x.png" })), /policy violation: img-src/);
  await provoke(() => void fetch("https://example.invalid/").catch(() => undefined), /policy violation: connect-src/);
  await provoke(() => console.error("said"), /^said/);
  await provoke(() => void setTimeout(() => nothing.at.all), /thrown: .*nothing/);
  p.complaints.length = 0;
}

export default [
  { name: "first user, with the one-time code", run: firstUser },
  { name: "sign in, to where one wanted to go, and out", run: signingIn },
  { name: "a session that ends says so", run: sessionEnds },
  { name: "violations and errors are noticed", run: complaints },
];
