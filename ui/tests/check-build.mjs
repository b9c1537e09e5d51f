// SPDX-License-Identifier: Apache-2.0
//
// node check-build.mjs FOLDER: what was built is small enough, whole, and nothing that the gateway's policy refuses.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import * as zlib from "node:zlib";

const folder = process.argv[2];
const JS_MAX = 60_000;
const CSS_MAX = 12_000;

const read = (name) => fs.readFileSync(path.join(folder, name));
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const { format, files } = JSON.parse(read("console.json"));
const html = read("index.html").toString();

/** What a browser fetches before it shows anything: named by the page, or imported by that without being asked for. */
function initial() {
  const found = new Set([...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((m) => m[1]));
  for (const name of found) {
    if (!name.endsWith(".js")) continue;
    for (const m of read(name).toString().matchAll(/(?:^|[;}\n])import(?:[^"'()]*?from)?["']\.\/([^"']+)["']/g)) found.add(path.posix.join(path.posix.dirname(name), m[1]));
  }
  return [...found];
}

test("the first page is within its budget", () => {
  const size = (suffix) => initial().filter((n) => n.endsWith(suffix)).reduce((n, name) => n + zlib.gzipSync(read(name), { level: 9 }).length, 0);
  const js = size(".js");
  const css = size(".css");
  assert.ok(js > 10_000 && js <= JS_MAX, `JavaScript has ${js} bytes, ${JS_MAX} are allowed`);
  assert.ok(css > 1_000 && css <= CSS_MAX, `CSS has ${css} bytes, ${CSS_MAX} are allowed`);
});

test("console.json lists every file, as it is, and its compressed forms", () => {
  assert.equal(format, 1);
  const listed = new Set(["console.json"]);
  for (const f of files) {
    const data = read(f.path);
    assert.equal(sha256(data), f.sha256, f.path);
    listed.add(f.path);
    for (const [coding, suffix, unpack] of [["gzip", ".gz", zlib.gunzipSync], ["br", ".br", zlib.brotliDecompressSync]]) {
      if (!f[`${coding}_sha256`]) continue;
      const packed = read(f.path + suffix);
      assert.equal(sha256(packed), f[`${coding}_sha256`], f.path + suffix);
      assert.ok(unpack(packed).equals(data), f.path + suffix);
      assert.ok(packed.length < data.length, f.path + suffix);
      listed.add(f.path + suffix);
    }
  }
  const there = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  assert.deepEqual(there.map((e) => path.relative(folder, path.join(e.parentPath ?? e.path, e.name))).sort(), [...listed].sort());
});

test("names of files that browsers keep for ever hold their hash", () => {
  for (const f of files) assert.equal(f.immutable, /^assets\/.+-[\w-]{8,}\.\w+$/.test(f.path), f.path);
  assert.ok(files.some((f) => f.immutable) && files.some((f) => f.path === "index.html" && !f.immutable));
});

test("nothing is inline, evaluated, or from elsewhere", () => {
  assert.ok(!/<script(?![^>]*\ssrc=)/.test(html) && !/<style|\sstyle=|\son\w+=/.test(html), html);
  for (const f of files.filter((f) => f.path.endsWith(".js"))) {
    const code = read(f.path).toString();
    assert.ok(!/\beval\(|new Function\(|document\.write/.test(code), f.path);
    const urls = [...code.matchAll(/["'`](https?:\/\/[^"'`$]+)/g)].map((m) => m[1]).filter((u) => !u.startsWith("http://www.w3.org/"));
    assert.deepEqual(urls.filter((u) => u !== "https://"), [], f.path);
  }
  for (const f of files.filter((f) => f.path.endsWith(".css"))) assert.ok(!/@import|url\((?!["']?\/assets)/.test(read(f.path).toString()), f.path);
});
