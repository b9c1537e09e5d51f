// SPDX-License-Identifier: Apache-2.0
// Without a mouse: from the door to an update, and out of everything that opens.

import assert from "node:assert/strict";
import { PASSWORD } from "../lab.mjs";
import { GOOD } from "../fleet.mjs";

async function keyboardOnly(t) {
  const lab = await t.fleet();
  const p = await t.person(lab);
  const key = p.page.keyboard;
  const focused = () =>
    p.page.evaluate(() => {
      const e = document.activeElement;
      if (e === document.body) return "nothing";
      return `${e?.getAttribute("aria-label") ?? ""} ${e?.textContent ?? ""} ${e?.labels?.[0]?.textContent ?? ""}`.trim();
    });
  /** By Tab alone, and what is come to is seen to have the focus. */
  const tabTo = async (name, most = 40) => {
    for (let i = 0; i < most; i++) {
      if (name.test(await focused())) {
        const outline = await p.page.evaluate(() => {
          const s = getComputedStyle(document.activeElement);
          return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1;
        });
        assert.ok(outline, `${name} has the focus, and nothing shows it`);
        return;
      }
      await key.press("Tab");
    }
    assert.fail(`Tab does not lead to ${name}; last was ${await focused()}`);
  };

  await p.page.goto("/");
  await p.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await key.type("alice");
  await key.press("Tab");
  await key.type(PASSWORD);
  await key.press("Enter");
  await p.page.getByRole("heading", { name: "Overview" }).waitFor();

  // "/" from anywhere, names, Escape
  await key.press("/");
  await p.page.getByRole("heading", { name: "Agents" }).waitFor();
  await p.page.waitForFunction(() => document.activeElement?.getAttribute("aria-label") === "Search by host name or id");
  const [agent, other] = await lab.agents("&selector=tier=keys");
  await key.type(`${agent.hostname} ${other.hostname}`);
  await key.press("Enter");
  await p.page.getByText("2 agents match").waitFor();

  // a menu opens, is used, and closes with Escape, which gives the focus back
  await tabTo(/^State/);
  await key.press("Enter");
  await p.page.getByRole("checkbox", { name: /^Online/ }).waitFor();
  await tabTo(/^Online/, 4);
  await key.press("Space");
  await p.page.waitForURL(/state=online/);
  await key.press("Escape");
  await p.page.waitForFunction(() => document.activeElement?.getAttribute("aria-expanded") === "false" && /^State/.test(document.activeElement.textContent));

  // from row to row, select one, act
  await tabTo(new RegExp(`^Select ${agent.hostname}`));
  await key.press("ArrowDown");
  assert.match(await focused(), new RegExp(`^Select ${other.hostname}`));
  await key.press("ArrowUp");
  await key.press("Space");
  await p.page.getByText("1 agent selected").waitFor();
  await key.press("Escape");
  await p.page.getByText("2 agents match").waitFor();
  await key.press("Space");
  await p.page.getByText("1 agent selected").waitFor();
  for (let i = 0; i < 12 && !/Upgrade to latest/.test(await focused()); i++) await key.press("Shift+Tab");
  await key.press("Enter");
  await p.dialog.waitFor();
  // the focus is in the dialog, and stays there
  for (let i = 0; i < 14; i++) {
    await key.press("Tab");
    assert.ok(await p.page.evaluate(() => document.activeElement === document.body || document.querySelector("dialog")?.contains(document.activeElement)), await focused());
  }
  await key.press("Escape");
  await p.dialog.waitFor({ state: "hidden" });
  assert.match(await focused(), /Upgrade to latest/);
  await key.press("Enter");
  await p.dialog.getByText("1 of 1 take part").waitFor();
  await tabTo(new RegExp(`^Update 1 agent to ${GOOD}`));
  await key.press("Enter");
  await p.page.waitForURL(/\/rollouts\/\d+$/);
  await p.page.locator("h1").getByText("Completed").waitFor({ timeout: 60_000 });

  // a screen reader is told where it is, and the first Tab skips the menu
  await p.page.goto("/releases");
  await p.settled();
  assert.equal(await p.page.evaluate(() => document.activeElement?.tagName), "H1");
  assert.equal(await p.page.title(), "Releases – Fleet");
  await p.page.evaluate(() => document.activeElement.blur());
  await p.page.locator(".skip").focus();
  await key.press("Enter");
  await tabTo(/Import/, 3);
}

export default [{ name: "keyboard only", run: keyboardOnly }];
