// SPDX-License-Identifier: Apache-2.0
// Whom an action is for: the worst that a console can do is to act on more than what was seen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load, random } from "./load.mjs";

const parts = {
  q: ["", "web-1", "web-1 db-2"],
  selector: ["", "env=production", "tier in (web,db),!gpu"],
  group: ["", "canaries"],
  state: [[], ["online"], ["offline", "never"]],
  version: [[], ["1.0.0"], ["1.0.0", "none"], ["1.0.0", "1.1.0"]],
  update: [[], ["failed"]],
  os: [[], ["debian"], ["debian", "ubuntu"]],
  arch: [[], ["x86_64"]],
};

function* filters() {
  const draw = random(7);
  const names = Object.keys(parts);
  yield Object.fromEntries(names.map((n) => [n, parts[n][0]]));
  // each alone, each pair, and many at random
  for (const a of names) {
    for (const b of names) {
      for (const x of parts[a].slice(1)) for (const y of parts[b]) yield { ...Object.fromEntries(names.map((n) => [n, parts[n][0]])), [b]: y, [a]: x };
    }
  }
  for (let i = 0; i < 500; i++) yield Object.fromEntries(names.map((n) => [n, draw.pick(parts[n])]));
}

test("all agents are meant by no filter, and by nothing else", async () => {
  const { filterTarget, isFiltered, filterParameters } = await load("agent-filter");
  let rules = 0;
  for (const f of filters()) {
    const target = filterTarget(f);
    const said = JSON.stringify([f, target]);
    if (target === undefined) continue;
    rules++;
    assert.equal(Object.keys(target).length, 1, said);
    assert.equal(target.all === true, !isFiltered(f), said);
    assert.ok(!("ids" in target), said);
    // whatever the list is narrowed by is in the rule as well
    const p = filterParameters(f);
    assert.ok(!p.q && !p.state && !p.update, said);
    if (p.selector && target.selector) assert.ok(target.selector.startsWith(p.selector), said);
    for (const v of f.version) assert.ok(target.selector.includes(v), said);
  }
  assert.ok(rules > 100, String(rules));
});

test("what the address says comes back from it", async () => {
  const { readFilter, filterQuery, tidyTerms } = await load("agent-filter");
  for (const f of filters()) {
    const query = new URLSearchParams(Object.entries(filterQuery(f)).filter(([, v]) => v !== ""));
    assert.deepEqual(readFilter(new URLSearchParams(query.toString())), f);
  }
  assert.equal(tidyTerms(" web-1,\nweb-2;\tdb-3\r\n"), "web-1 web-2 db-3");
});

test("a selection by hand is its ids, whatever the filter", async () => {
  const { resolveSelection } = await load("targets");
  const asked = [];
  globalThis.fetch = async (url, init) => {
    asked.push([init.method, url, init.body && JSON.parse(init.body)]);
    return new Response(JSON.stringify({ count: 2, digest: "d" }), { headers: { "Content-Type": "application/json" } });
  };
  const stop = new AbortController().signal;
  const got = await resolveSelection({ kind: "ids", ids: ["a", "b"] }, stop);
  assert.deepEqual(got, { target: { ids: ["a", "b"] }, count: 2, digest: "d", snapshot: false });
  assert.deepEqual(asked, [["POST", "/api/v1/agents/match", { ids: ["a", "b"] }]]);
  await assert.rejects(resolveSelection({ kind: "ids", ids: [] }, stop), /No agent matches/);
});

test("a filter that no rule can say is turned into the ids that it shows", async () => {
  const { resolveSelection } = await load("targets");
  const { readFilter } = await load("agent-filter");
  const pages = [
    { agents: [{ id: "a" }, { id: "b" }], total: 3, next_cursor: "next" },
    { agents: [{ id: "c" }], total: 3 },
  ];
  const asked = [];
  globalThis.fetch = async (url, init) => {
    asked.push(url);
    const answer = init.method === "POST" ? { count: JSON.parse(init.body).ids.length, digest: "d" } : pages.shift();
    return new Response(JSON.stringify(answer), { headers: { "Content-Type": "application/json" } });
  };
  const filter = readFilter(new URLSearchParams("state=offline&selector=env=staging"));
  const got = await resolveSelection({ kind: "all", filter }, new AbortController().signal);
  assert.deepEqual(got.target, { ids: ["a", "b", "c"] });
  assert.equal(got.snapshot, true);
  assert.match(asked[0], /state=offline/);
  assert.match(asked[0], /selector=env%3Dstaging/);
  assert.match(asked[1], /cursor=next/);
});
