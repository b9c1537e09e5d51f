// SPDX-License-Identifier: Apache-2.0
// Events on their way to a page, and rows on theirs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, load, random } from "./load.mjs";

test("an event stream says the same however it is cut", async () => {
  const { SseParser } = await load("sse");
  const text = ': hello\nretry: 2000\n\nid: 7\nevent: agent\ndata: {"id":"a"}\n\nid: 8\r\nevent: update\r\ndata: {"x":\r\ndata: 1}\r\n\r\nevent: nothing\n\ndata\n\nid: 9\n\n';
  const whole = new SseParser("6");
  const expected = whole.push(text);
  assert.deepEqual(
    expected.map((m) => [m.event, m.data, m.lastId]),
    [["agent", '{"id":"a"}', "7"], ["update", '{"x":\n1}', "8"], ["message", "", "8"]],
  );
  assert.equal(whole.lastId, "9");
  assert.equal(whole.retry, 2000);
  const draw = random(3);
  for (let turn = 0; turn < 300; turn++) {
    const parser = new SseParser("6");
    const got = [];
    for (let at = 0; at < text.length; ) {
      const end = at + 1 + draw.below(9);
      got.push(...parser.push(text.slice(at, end)));
      at = end;
    }
    assert.deepEqual(got, expected);
  }
});

test("what comes by the thousand is handed over four times a second, each thing once", async () => {
  const { Coalescer } = await load("coalesce");
  const clock = new FakeClock();
  const batches = [];
  const c = new Coalescer(250, (batch) => batches.push([clock.now(), batch]), clock);
  for (let i = 0; i < 1000; i++) {
    c.push([{ event: "update", data: { id: `i${i % 10}`, step: i } }]);
    clock.advance(2);
  }
  clock.advance(1000);
  assert.ok(batches.length >= 8 && batches.length <= 9, String(batches.length));
  for (let i = 1; i < batches.length; i++) assert.ok(batches[i][0] - batches[i - 1][0] >= 250);
  for (const [, batch] of batches) assert.equal(new Set(batch.map((e) => e.data.id)).size, batch.length);
  assert.deepEqual(batches.at(-1)[1].map((e) => e.data.step).sort(), Array.from({ length: 10 }, (_, i) => 990 + i));
});

test("the first event after a silence comes at once, and too many become one reset", async () => {
  const { Coalescer } = await load("coalesce");
  const clock = new FakeClock();
  const batches = [];
  const c = new Coalescer(250, (batch) => batches.push(batch), clock);
  clock.advance(10_000);
  c.push([{ event: "agent", data: { id: "a" } }]);
  clock.advance(0);
  assert.equal(batches.length, 1);
  c.push(Array.from({ length: 20_001 }, (_, i) => ({ event: "agent", data: { id: String(i) } })));
  clock.advance(250);
  assert.deepEqual(batches[1], [{ event: "reset", data: {} }]);
  c.push([{ event: "agent", data: { id: "b" } }]);
  c.stop();
  clock.advance(1000);
  assert.equal(batches.length, 2);
});

function fakeRows(total) {
  const requests = [];
  const load = (offset, limit, signal) =>
    new Promise((done, failed) => {
      const request = { offset, limit, signal, answer: () => done({ rows: Array.from({ length: Math.min(limit, total - offset) }, (_, i) => offset + i), total }) };
      signal.addEventListener("abort", () => failed(new DOMException("aborted", "AbortError")));
      requests.push(request);
    });
  return { requests, load };
}
const soon = () => new Promise((done) => setTimeout(done, 0));

test("rows that nobody looks at any more are not waited for", async () => {
  const { PageCache } = await load("page-cache");
  const { requests, load: loadRows } = fakeRows(100_000);
  let changes = 0;
  const cache = new PageCache(200, loadRows, () => changes++);
  cache.look(0, 50);
  assert.deepEqual(requests.map((r) => r.offset), [0]);
  requests[0].answer();
  await soon();
  assert.equal(cache.total, 100_000);
  assert.equal(cache.at(199), 199);
  assert.equal(cache.at(200), undefined);
  cache.look(50_000, 50_040);
  cache.look(90_190, 90_210);
  assert.deepEqual(requests.map((r) => [r.offset, r.signal.aborted]), [[0, false], [50_000, true], [90_000, false], [90_200, false]]);
  requests[2].answer();
  requests[3].answer();
  await soon();
  assert.equal(cache.at(90_205), 90_205);
  assert.equal(cache.busy, false);
  assert.equal(cache.problem, undefined);
});

test("a row is changed in place, and what is read again replaces only what is looked at", async () => {
  const { PageCache } = await load("page-cache");
  const { requests, load: loadRows } = fakeRows(500);
  const cache = new PageCache(200, loadRows, () => undefined);
  cache.look(0, 10);
  requests[0].answer();
  await soon();
  assert.equal(cache.patch((row) => (row === 3 ? 3000 : undefined)), true);
  assert.equal(cache.at(3), 3000);
  assert.equal(cache.patch((row) => (row === 450 ? 1 : undefined)), false);
  cache.refresh();
  assert.equal(cache.at(3), 3000); // stays until the new is there
  requests[1].answer();
  await soon();
  assert.equal(cache.at(3), 3);
  assert.equal(requests.length, 2);
});
