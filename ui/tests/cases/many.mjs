// SPDX-License-Identifier: Apache-2.0
// Ten thousand agents: exact numbers, any place at once, and a page that keeps answering.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as path from "node:path";
import { FAST, SOURCE } from "../lab.mjs";

const MANY = 10_000;
const LIVE = 40;
/** Milliseconds of processor time: what a task takes by the clock says more of what else the machine does. */
const TASK_MAX = 100;

async function scrolled(t) {
  const lab = t.lab("many");
  await lab.startGateway();
  await lab.release("1.0.0");
  await lab.release("1.1.0");
  await lab.gateway.stop();
  execFileSync("python3", [path.join(SOURCE, "ui/tests/fill-agents.py"), path.join(lab.state, "gateway.db"), String(MANY)]);
  await lab.startGateway();
  // some of them live, and updating all the time
  await lab.simulate(LIVE, { labels: ["role=live"], options: [...FAST, "--connect-rate=0"] });
  await lab.waitOnline(LIVE);
  await lab.makeUser("alice", "admin");
  t.say(`${MANY} agents, ${LIVE} of them live`);

  const p = await t.signedIn(lab);
  await p.open("/agents");
  await p.page.locator(".list-total").getByText("10,040 agents").waitFor();
  assert.equal(await p.page.locator("table.virtual").getAttribute("aria-rowcount"), String(MANY + LIVE + 1));
  await lab.ask("POST", "/rollouts", { version: "1.1.0", target: { selector: "role=live" }, strategy: { canary: { count: 2, soak_sec: 0 }, batch: { size: 4, every_sec: 1 }, max_failures: { percent: 50 } } });

  const trace = await Trace.start(p);
  const { frames, rows } = await scroll(p);
  const tasks = await trace.stop();
  t.say(`longest of ${tasks.length} tasks ${tasks[0].toFixed(1)} ms in ${frames} frames, at most ${rows} rows there`);
  assert.ok(tasks.length > frames, "the trace is empty");
  assert.ok(tasks[0] <= TASK_MAX, `a task took ${tasks[0]} ms`);
  assert.ok(rows < 80, "rows that nobody sees are there");

  // and one that is too long is seen
  const control = await Trace.start(p);
  await p.page.evaluate(
    () =>
      new Promise((done) => {
        setTimeout(() => {
          let sum = 0;
          for (let i = 0; i < 4e8; i++) sum += Math.sqrt(i);
          done(sum);
        }, 0);
      }),
  );
  const [longest] = await control.stop();
  assert.ok(longest > TASK_MAX, `the trace misses long tasks: ${longest} ms`);

  // any place at once: the last row is the last one, and is read in time
  const order = await lab.ask("GET", "/agents?fields=narrow&sort=-hostname&limit=1");
  await p.page.locator(".scroller").evaluate((s) => (s.scrollTop = s.scrollHeight));
  const last = p.page.locator(`tr[aria-rowindex="${MANY + LIVE + 1}"]`);
  await last.getByRole("link", { name: order.agents[0].hostname }).waitFor({ timeout: 5000 });
  const begun = Date.now();
  await p.page.locator(".scroller").evaluate((s) => (s.scrollTop = s.scrollHeight / 2));
  await p.page.locator(`tr[aria-rowindex="${Math.floor((MANY + LIVE) / 2)}"] a`).waitFor({ timeout: 5000 });
  t.say(`a jump to the middle took ${Date.now() - begun} ms`);
  // a place that was left is come back to
  const where = await p.page.locator("tbody a").nth(12).innerText();
  await p.page.locator("tbody a").nth(12).click();
  await p.page.getByRole("heading", { name: where }).waitFor();
  await p.page.goBack();
  await p.page.getByRole("link", { name: where }).waitFor();
}

/** What the page's main thread does, task by task. */
class Trace {
  static async start(p) {
    const trace = new Trace();
    trace.page = p.page;
    trace.session = await p.context.newCDPSession(p.page);
    await trace.session.send("Tracing.start", { transferMode: "ReturnAsStream", traceConfig: { includedCategories: ["disabled-by-default-devtools.timeline"] } });
    return trace;
  }

  /** Milliseconds of processor time of each, the longest first. */
  async stop() {
    // a task is in the trace when it is over, and the last one may just be telling of its end
    await this.page.waitForTimeout(300);
    const complete = new Promise((done) => this.session.once("Tracing.tracingComplete", done));
    await this.session.send("Tracing.end");
    const { stream: handle } = await complete;
    let text = "";
    for (let eof = false; !eof; ) {
      const piece = await this.session.send("IO.read", { handle });
      text += piece.base64Encoded ? Buffer.from(piece.data, "base64").toString() : piece.data;
      ({ eof } = piece);
    }
    await this.session.send("IO.close", { handle });
    const { traceEvents } = JSON.parse(text);
    const threads = new Set(traceEvents.filter((e) => e.name === "thread_name" && e.args.name === "CrRendererMain").map((e) => `${e.pid} ${e.tid}`));
    const tasks = traceEvents.filter((e) => e.name === "RunTask" && threads.has(`${e.pid} ${e.tid}`) && e.tdur !== undefined);
    return tasks.map((e) => e.tdur / 1000).sort((a, b) => b - a);
  }
}

async function scroll(p) {
  return p.page.evaluate(async () => {
    const scroller = document.querySelector(".scroller");
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    let rows = 0;
    let frames = 0;
    // by the wheel for a while, then as somebody who drags the bar
    for (const [step, n] of [[120, 120], [scroller.scrollHeight / 90, 90], [-scroller.scrollHeight / 60, 60]]) {
      for (let i = 0; i < n; i++, frames++) {
        scroller.scrollTop += step;
        await frame();
        rows = Math.max(rows, document.querySelectorAll("tbody tr[aria-rowindex]").length);
      }
    }
    await new Promise((done) => setTimeout(done, 300));
    return { rows, frames };
  });
}

export default [{ name: "10,000 agents scrolled without a long task", run: scrolled }];
