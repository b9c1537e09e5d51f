// SPDX-License-Identifier: Apache-2.0
//
// node ui/tests/run.mjs [CASE...]: the console in Chromium, against a real gateway and simulated agents. With names, only
// cases whose names begin so. Pictures of every page go to BUILD/ui/pictures (FLEET_CONSOLE_PICTURES), for people to look at.
//
// A case fails when it does not come to its end in time, and when a page said anything on its console, threw, or was
// refused something by the content security policy.

import * as path from "node:path";
import { Browser } from "./browser.mjs";
import { startFleet } from "./fleet.mjs";
import { BUILD, Lab, PASSWORD } from "./lab.mjs";
import doors from "./cases/doors.mjs";
import agents from "./cases/agents.mjs";
import rollouts from "./cases/rollouts.mjs";
import live from "./cases/live.mjs";
import people from "./cases/people.mjs";
import keyboard from "./cases/keyboard.mjs";
import many from "./cases/many.mjs";
import looks from "./cases/looks.mjs";

const CASES = [...doors, ...people, ...keyboard, ...agents, ...rollouts, ...live, ...many, ...looks];
const CASE_MAX = 240_000;
const ALL_MAX = 880_000;
const started = Date.now();

function say(text) {
  process.stdout.write(`[${String(Math.round((Date.now() - started) / 1000)).padStart(4)}s] ${text}\n`);
}

/** What a case has at hand. Whatever it starts is ended with it; the fleet stays for those that follow. */
class Test {
  pictures = process.env.FLEET_CONSOLE_PICTURES ?? path.join(BUILD, "ui", "pictures");
  #people = [];
  #labs = [];
  static #fleet;

  constructor(name, browser) {
    this.name = name;
    this.browser = browser;
  }

  say(text) {
    say(`       ${text}`);
  }

  fleet() {
    Test.#fleet ??= startFleet(say);
    return Test.#fleet;
  }

  static async closeFleet() {
    await (await Test.#fleet?.catch(() => undefined))?.close();
  }

  lab(name) {
    const lab = new Lab(name);
    this.#labs.push(lab);
    return lab;
  }

  /** Somebody with a browser of their own, at the door. */
  async person(lab, options) {
    const person = await this.browser.person(lab, options);
    this.#people.push(person);
    return person;
  }

  async signedIn(lab, name = "alice", options = {}) {
    const person = await this.person(lab, options);
    await person.signIn(name, PASSWORD);
    return person;
  }

  complaints() {
    return this.#people.flatMap((p) => p.unexpected());
  }

  async report() {
    let n = 0;
    for (const p of this.#people) {
      const shown = await p.page.locator("body").innerText({ timeout: 1000 }).catch(() => "");
      say(`       at ${p.page.url()}: ${shown.replace(/\s+/g, " ").slice(0, 600)}`);
      await p.picture(this.pictures, `failed-${this.name.replace(/\W+/g, "-")}-${n++}`).catch(() => undefined);
    }
    for (const lab of [...this.#labs, await Test.#fleet?.catch(() => undefined)]) if (lab) process.stdout.write(`${lab.logs(12)}\n`);
  }

  async end() {
    for (const p of this.#people) await p.close().catch(() => undefined);
    for (const lab of this.#labs) await lab.close();
  }
}

async function bounded(promise, milliseconds) {
  let timer;
  const late = new Promise((_, failed) => {
    timer = setTimeout(() => failed(new Error(`did not end within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function runCase(c, browser) {
  const t = new Test(c.name, browser);
  const begun = Date.now();
  say(c.name);
  try {
    await bounded(c.run(t), c.max ?? CASE_MAX);
    const complaints = t.complaints();
    if (complaints.length > 0) throw new Error(`the browser complained:\n${complaints.join("\n")}`);
    say(`   ok  ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    return true;
  } catch (error) {
    say(`FAILED ${c.name}: ${error.stack ?? error}`);
    await bounded(t.report(), 30_000).catch(() => undefined);
    return false;
  } finally {
    await bounded(t.end(), 60_000).catch((e) => say(`cleaning up: ${e.message}`));
  }
}

const wanted = process.argv.slice(2);
const chosen = CASES.filter((c) => wanted.length === 0 || wanted.some((w) => c.name.startsWith(w)));
if (chosen.length === 0) {
  say(`no such case; there are:\n${CASES.map((c) => `  ${c.name}`).join("\n")}`);
  process.exit(2);
}
const guard = setTimeout(() => {
  say(`FAILED all of it: did not end within ${ALL_MAX / 1000} s`);
  process.exit(1);
}, ALL_MAX);
const browser = await Browser.launch();
let failed = 0;
for (const c of chosen) if (!(await runCase(c, browser))) failed++;
await browser.close();
await Test.closeFleet();
clearTimeout(guard);
say(`${chosen.length - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
