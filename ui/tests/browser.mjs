// SPDX-License-Identifier: Apache-2.0
//
// The distribution's Chromium, and people in it: each has a context (cookies, storage) of their own. Whatever a page says on
// its console, throws, or is refused by the content security policy, is kept, and fails the test that does not expect it.

import AxeBuilder from "@axe-core/playwright";
import * as fs from "node:fs";
import * as path from "node:path";
import { chromium } from "playwright-core";

const EXECUTABLE = process.env.FLEET_CHROMIUM ?? "/usr/bin/chromium";
/** Nothing that a person waits for takes longer, on a busy machine either. */
export const PATIENCE = 30_000;

export const DESK = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

// Told by the page itself: a report of a violation also comes where the console's text does not.
const WATCH = `addEventListener("securitypolicyviolation", (e) =>
  console.error("policy violation: " + e.violatedDirective + " " + e.blockedURI + " " + e.sourceFile));`;

export class Browser {
  static async launch() {
    // the sandbox needs a user other than root, whom tests in a container do not have
    const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", "--disable-gpu"], timeout: 60_000 });
    return new Browser(browser);
  }

  constructor(browser) {
    this.browser = browser;
  }

  async person(lab, options = {}) {
    const context = await this.browser.newContext({
      baseURL: lab.url,
      ignoreHTTPSErrors: true,
      locale: "en-GB",
      timezoneId: "Europe/Berlin",
      viewport: DESK,
      colorScheme: "light",
      reducedMotion: "reduce",
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    await context.addInitScript(WATCH);
    const person = new Person(lab, context, await context.newPage());
    return person;
  }

  async close() {
    await this.browser.close();
  }
}

export class Person {
  /** Patterns of what may be said on the console: what a test brings about on purpose. */
  expected = [];
  complaints = [];

  constructor(lab, context, page) {
    this.lab = lab;
    this.context = context;
    this.page = page;
    context.on("console", (m) => {
      if (m.type() === "error" || m.type() === "warning") this.complain(`${m.text()} (${m.location().url})`);
    });
    context.on("weberror", (e) => this.complain(`thrown: ${e.error().stack ?? e.error()}`));
  }

  complain(text) {
    this.complaints.push(text);
  }

  /** Everything that was complained of and not expected. */
  unexpected() {
    return this.complaints.filter((c) => !this.expected.some((e) => e.test(c)));
  }

  async close() {
    await this.context.close();
  }

  // ---- where ----

  async open(where) {
    await this.page.goto(where);
    await this.settled();
  }

  /** The page has what it asked for, and no bone is left. */
  async settled() {
    await this.page.locator("main h1").first().waitFor();
    await this.page.waitForFunction(() => !document.querySelector(".bone, .waiting, [aria-busy=true]"), null, { timeout: PATIENCE });
  }

  async signIn(name, password) {
    await this.page.goto("/");
    await this.page.getByLabel("Name").fill(name);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("heading", { name: "Overview" }).waitFor();
  }

  // ---- what ----

  button(name, options = {}) {
    return this.page.getByRole("button", { name, ...options });
  }

  link(name, options = {}) {
    return this.page.getByRole("link", { name, ...options });
  }

  get dialog() {
    return this.page.getByRole("dialog");
  }

  async theme(name) {
    await this.page.evaluate((value) => {
      document.documentElement.dataset.theme = value;
    }, name);
  }

  /** A picture for people to look at. */
  async picture(folder, name) {
    fs.mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: path.join(folder, `${name}.png`), animations: "disabled" });
  }

  /** As the API answers this person's own session. */
  async api(method, where, body) {
    return this.page.evaluate(
      async ([m, w, b]) => {
        const me = await (await fetch("/api/v1/me")).json();
        const headers = { "X-CSRF-Token": me.csrf_token };
        if (b !== null) headers["Content-Type"] = "application/json";
        const answer = await fetch(`/api/v1${w}`, { method: m, headers, body: b === null ? undefined : JSON.stringify(b) });
        return { status: answer.status, type: answer.headers.get("Content-Type"), text: await answer.text() };
      },
      [method, where, body ?? null],
    );
  }

  /** What is wrong for people who do not see, or do not use a mouse; nothing must be. */
  async axe() {
    const { violations } = await new AxeBuilder({ page: this.page }).analyze();
    return violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.slice(0, 4).map((n) => `    ${n.html.slice(0, 160)}\n    ${n.failureSummary?.split("\n").slice(1, 3).join(" ")}`).join("\n")}`);
  }
}
