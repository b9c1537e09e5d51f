// SPDX-License-Identifier: Apache-2.0
// What is written for people, and what is read from them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { load } from "./load.mjs";

test("shares are never 0 for something, nor 100 for not all", async () => {
  const { formatShare } = await load("format");
  assert.equal(formatShare(0, 2400), "0 %");
  assert.equal(formatShare(1, 2400), "<0.1 %");
  assert.equal(formatShare(51, 2400), "2.1 %");
  assert.equal(formatShare(48, 2400), "2 %");
  assert.equal(formatShare(1200, 2400), "50 %");
  assert.equal(formatShare(2390, 2400), "99 %");
  assert.equal(formatShare(2399, 2400), ">99.9 %");
  assert.equal(formatShare(2400, 2400), "100 %");
  assert.equal(formatShare(1, 0), "0 %");
});

test("spans have two units at most", async () => {
  const { formatSpan, formatMilliseconds } = await load("format");
  const expected = { 0: "0 s", 45: "45 s", 60: "1 min", 200: "3 min 20 s", 3600: "1 h", 28200: "7 h 50 min", 90000: "1 d 1 h", 86400: "1 d", 1036800: "12 d" };
  for (const [seconds, text] of Object.entries(expected)) assert.equal(formatSpan(Number(seconds)), text);
  assert.equal(formatMilliseconds(320), "0.3 s");
  assert.equal(formatMilliseconds(9949), "9.9 s");
  assert.equal(formatMilliseconds(12_400), "12 s");
  assert.equal(formatMilliseconds(65_000), "1 min 5 s");
});

test("times are relative to a present that is given", async () => {
  const { formatRelative, formatBytes } = await load("format");
  const now = Date.parse("2026-11-24T12:00:00Z");
  const of = (seconds) => formatRelative(now + seconds * 1000, now);
  assert.deepEqual([of(0), of(-2), of(-12), of(180), of(-7200), of(-432000)], ["now", "now", "12 s ago", "in 3 min", "2 h ago", "5 d ago"]);
  assert.deepEqual([0, 999, 1000, 65536, 999_600, 12_000_000].map(formatBytes), ["0 B", "999 B", "1.0 kB", "65.5 kB", "1.0 MB", "12.0 MB"]);
});

test("versions are sorted by precedence, not as text", async () => {
  const { compareVersions } = await load("versions");
  const sorted = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "2.0.0"];
  for (let i = 0; i < sorted.length; i++) {
    for (let j = 0; j < sorted.length; j++) {
      assert.equal(Math.sign(compareVersions(sorted[i], sorted[j])), Math.sign(i - j), `${sorted[i]} and ${sorted[j]}`);
    }
  }
  assert.equal(compareVersions("1.0.0+build.1", "1.0.0+build.2"), 0);
});

test("requirements are added to a selector and taken away, the others stay", async () => {
  const { splitRequirements, toggleValue, chosenValues, joinSelectors } = await load("selector-text");
  assert.deepEqual(splitRequirements(" env in (a, b) , !gpu,tier=web,"), ["env in (a, b)", "!gpu", "tier=web"]);
  let s = toggleValue("!gpu,env!=test", "tier", "web");
  assert.equal(s, "!gpu,env!=test,tier=web");
  s = toggleValue(s, "tier", "db");
  assert.equal(s, "!gpu,env!=test,tier in (web,db)");
  assert.deepEqual(chosenValues(s, "tier"), ["web", "db"]);
  assert.deepEqual(chosenValues(s, "env"), []);
  s = toggleValue(toggleValue(s, "tier", "web"), "tier", "db");
  assert.equal(s, "!gpu,env!=test");
  assert.equal(joinSelectors("a=b", "", undefined, "c in (d,e)"), "a=b,c in (d,e)");
});

test("the command of an enrolment is a script of sh, and shows its token to no list of processes", async () => {
  const { enrolCommand, pinOf } = await load("enrol-command");
  const token = `fjt1_${"a".repeat(16)}_${"b".repeat(64)}_${"c".repeat(64)}`;
  assert.equal(pinOf(token), "c".repeat(64));
  for (const [place, address, url] of [
    [{ host: "fleet.example.com", port: "8443" }, "Address=fleet.example.com:7443", undefined],
    [{ host: "fleet.example.com", port: "" }, "Address=fleet.example.com:7443", "Url=https://fleet.example.com:443"],
    [{ host: "2001:db8::1", port: "9000" }, "Address=[2001:db8::1]:7443", "Url=https://[2001:db8::1]:9000"],
  ]) {
    const command = enrolCommand(place, token);
    const lines = command.split("\n");
    assert.equal(lines[0], "sudo sh -eu <<'END'");
    assert.equal(lines.at(-1), "END");
    assert.ok(lines.includes(address), command);
    assert.equal(lines.find((l) => l.startsWith("Url=")), url);
    // it stands on a line of its own, within what sh reads from its input
    assert.deepEqual(lines.filter((l) => l.includes(token)), [token]);
    execFileSync("sh", ["-n"], { input: lines.slice(1, -1).join("\n") });
  }
});

test("of a folder, what belongs to a repository is taken", async () => {
  const { repositoryFiles, checkRepository } = await load("import");
  const file = (p) => ({ name: p.split("/").at(-1), path: p, file: {} });
  const files = repositoryFiles(["repo/metadata/timestamp.json", "repo/metadata/1.root.json", "repo/targets/agent/1.1.0/linux-x86_64/ab.agent", "repo/README", "repo/metadata/.swp", "repo/keys/root.key"].map(file));
  assert.deepEqual(files.map((f) => f.path), ["metadata/1.root.json", "metadata/timestamp.json", "targets/agent/1.1.0/linux-x86_64/ab.agent"]);
  assert.equal(checkRepository(files), undefined);
  assert.match(checkRepository(files.slice(0, 1)), /metadata\/timestamp.json is not in it/);
});
