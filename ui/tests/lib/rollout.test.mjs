// SPDX-License-Identifier: Apache-2.0
// What a rollout's and an update's numbers mean.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load, random } from "./load.mjs";

const none = { pending: 0, "in-flight": 0, succeeded: 0, failed: 0, "rolled-back": 0, "timed-out": 0, skipped: 0, cancelled: 0, excluded: 0 };

test("the parts of a bar are all of the cohort", async () => {
  const { progressParts } = await load("rollout-progress");
  const draw = random(11);
  for (let i = 0; i < 200; i++) {
    const counts = Object.fromEntries(Object.keys(none).map((k) => [k, draw.below(40)]));
    const cohort = Object.entries(counts).reduce((sum, [k, n]) => sum + (k === "excluded" ? 0 : n), 0);
    assert.equal(progressParts({ counts }).reduce((n, p) => n + p.count, 0), cohort);
  }
});

test("the gauge is exceeded exactly when the gateway says so", async () => {
  const { failureGauge } = await load("rollout-progress");
  const g = (failures, admitted, max) => failureGauge({ counted: { failures, admitted } }, { max_failures: max });
  assert.deepEqual([g(5, 100, { percent: 5 }).exceeded, g(6, 100, { percent: 5 }).exceeded], [false, true]);
  assert.match(g(51, 2400, { percent: 5 }).text, /^2\.1 % of 2,400 agents begun failed; 5 % are allowed$/);
  assert.deepEqual([g(1, 10, { count: 1 }).exceeded, g(2, 10, { count: 1 }).exceeded, g(1, 10, { count: 0 }).exceeded], [false, true, true]);
  assert.equal(g(0, 0, { percent: 5 }).filled, 0);
  assert.equal(g(3, 3, {}).exceeded, true); // the gateway's own default
});

test("what can be done depends on the state", async () => {
  const { verbsOf } = await load("rollout-progress");
  const r = (state, more = {}) => verbsOf({ kind: "update", state, reason: "operator", terminal: ["completed", "aborted"].includes(state), failures: 0, counts: { ...none, succeeded: 1 }, ...more });
  assert.deepEqual(r("running"), ["pause", "abort"]);
  assert.deepEqual(r("running", { reason: "awaiting-approval" }), ["approve", "pause", "abort"]);
  assert.deepEqual(r("paused", { failures: 2 }), ["resume", "retry-failed", "abort"]);
  assert.deepEqual(r("aborting", { failures: 2 }), []);
  assert.deepEqual(r("completed", { failures: 2 }), ["retry-failed", "roll-back"]);
  assert.deepEqual(r("aborted"), ["roll-back"]);
  assert.deepEqual(r("aborted", { kind: "rollback" }), []);
  assert.deepEqual(r("completed", { counts: none }), []);
});

const time = (s) => new Date(Date.parse("2026-11-24T12:00:00Z") + s * 1000).toISOString();
const update = (phase, phases, more = {}) => ({
  phase,
  title: phase,
  terminal: ["succeeded", "failed", "rolled-back", "timed-out", "cancelled"].includes(phase),
  created: time(0),
  phases: phases.map(([p, at, took]) => ({ phase: p, entered: time(at), ...(took === undefined ? {} : { took_ms: took }) })),
  ...more,
});
const fleet = { median_ms: 9000, phases: [{ phase: "downloading", median_ms: 3000, count: 9 }, { phase: "verifying", median_ms: 200, count: 9 }, { phase: "staging", median_ms: 800, count: 9 }] };

test("an update is told step by step, beside what the fleet takes", async () => {
  const { readSteps } = await load("steps");
  const now = Date.parse(time(6));
  const steps = readSteps(update("verifying", [["queued", 0, 100], ["downloading", 0, 4000], ["verifying", 4]]), fleet, now);
  assert.deepEqual(steps.map((s) => [s.title, s.state]), [["Queued", "done"], ["Downloading", "done"], ["Verifying", "now"], ["Restarting", "coming"], ["Back Online", "coming"]]);
  assert.deepEqual(steps.map((s) => s.took), [100, 4000, 2000, undefined, undefined]);
  assert.deepEqual(steps.map((s) => s.median), [undefined, 3000, 1000, undefined, 9000]);
});

test("it ends well, or at the step where it failed, or back", async () => {
  const { readSteps } = await load("steps");
  const phases = [["queued", 0, 0], ["downloading", 0, 1000], ["verifying", 1, 1000], ["restarting", 2, 500], ["confirming", 3, 500]];
  const states = (u) => readSteps(u, undefined, 0).map((s) => `${s.title} ${s.state}`);
  assert.deepEqual(states(update("succeeded", [...phases, ["succeeded", 4]], { finished: time(4) })), ["Queued done", "Downloading done", "Verifying done", "Restarting done", "Back Online done"]);
  assert.deepEqual(states(update("failed", [...phases.slice(0, 2), ["failed", 1]], { finished: time(1), failed_phase: "downloading" })), ["Queued done", "Downloading failed", "Verifying coming", "Restarting coming", "Failed failed"]);
  assert.deepEqual(states(update("rolled-back", [...phases, ["rolling-back", 4, 500], ["rolled-back", 5]], { finished: time(5), failed_phase: "confirming" })), ["Queued done", "Downloading done", "Verifying done", "Restarting failed", "Rolled back failed"]);
  assert.deepEqual(states(update("succeeded", phases.slice(3), { finished: time(4), back: true })), ["Queued done", "Restarting done", "Back Online done"]);
});

test("an event goes on where the steps are", async () => {
  const { mergeUpdate } = await load("steps");
  const old = { ...update("downloading", [["queued", 0, 10], ["downloading", 1]]), id: "u" };
  const same = mergeUpdate(old, { ...old, phases: undefined, bytes_done: 5 });
  assert.equal(same.phases.length, 2);
  const next = mergeUpdate(same, { ...old, phases: undefined, phase: "verifying", updated: time(4) });
  assert.deepEqual(next.phases.map((p) => [p.phase, p.took_ms]), [["queued", 10], ["downloading", 3000], ["verifying", undefined]]);
});

test("the form of a strategy says the gateway's defaults, and what is typed", async () => {
  const { readStrategy, defaultForm, checkForm } = await load("strategy-form");
  const plain = readStrategy(defaultForm);
  assert.equal(plain.batch.size, 50);
  assert.equal(plain.batch.every_sec, 600);
  assert.deepEqual(plain.max_failures, { percent: 5 });
  assert.ok(!("emergency" in plain) && !("windows" in plain) && !("count" in plain.canary));
  assert.equal(checkForm(defaultForm), undefined);
  const s = readStrategy({ ...defaultForm, canaries: "count", canaryAmount: "3", batchKind: "all", ramp: "5, 20", failureKind: "count", failures: "0", windows: [{ days: ["sat"], start: "22:00", hours: "6", zone: "Europe/Berlin" }] });
  assert.equal(s.canary.count, 3);
  assert.deepEqual(s.batch, { percent: 100, ramp: [5, 20], every_sec: 0, success_percent: 90, soak_sec: 0 });
  assert.deepEqual(s.max_failures, { count: 0 });
  assert.deepEqual(s.windows, [{ days: ["sat"], start: "22:00", duration_sec: 21600, time_zone: "Europe/Berlin" }]);
  assert.match(checkForm({ ...defaultForm, every: "soon" }), /number for the period/);
  assert.match(checkForm({ ...defaultForm, windows: [{ days: [], start: "", hours: "", zone: "" }] }), /days/);
});

test("what needs attention comes the worst first", async () => {
  const { attention } = await load("attention");
  const now = Date.parse(time(0));
  const roles = [{ role: "timestamp", expires: time(3600) }, { role: "root", expires: time(-5) }, { role: "targets", expires: time(86400 * 100) }];
  const items = attention(
    { states: { online: 5, offline: 2, never: 1 } },
    [
      { id: 3, version: "1.1.0", state: "paused", reason: "too-many-failures", reason_text: "Too many failed." },
      { id: 4, version: "1.1.0", state: "paused", reason: "operator" },
      { id: 5, version: "1.1.0", state: "running", reason: "awaiting-approval" },
    ],
    { metadata: { roles }, releases: [{ version: "1.1.0", failed_on: { failed: 0, rolled_back: 2, timed_out: 0 } }, { version: "1.0.0" }] },
    now,
  );
  assert.deepEqual(items.map((i) => i.key), ["rollout 3", "role root", "release 1.1.0", "rollout 5", "role timestamp", "offline", "never"]);
  assert.deepEqual(attention({ states: { online: 5, offline: 0, never: 0 } }, [], { releases: [] }, now), []);
});
