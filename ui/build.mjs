// SPDX-License-Identifier: Apache-2.0
//
// node build.mjs --out FOLDER [--depfile FILE]
// node build.mjs --install
//
// Makes types of docs/openapi.yaml, checks all types, builds the console into FOLDER, compresses it, and writes console.json, by which the gateway serves
// it. Installs what package-lock.json names if node_modules does not hold it yet; with it there, needs no network.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as zlib from "node:zlib";

const here = path.dirname(fileURLToPath(import.meta.url));
const start = process.cwd();
process.chdir(here);

// What a browser must have before it shows anything, compressed with gzip.
const JS_MAX = 60_000;
const CSS_MAX = 12_000;

function say(text) {
  process.stderr.write(`console: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(1);
}

function sha256(data) {
  return createHash("sha256").update(data).digest("hex");
}

// Several build folders share this one: who comes second waits.
function locked(run) {
  const lock = path.join(here, ".install-lock");
  const started = Date.now();
  for (;;) {
    try {
      fs.closeSync(fs.openSync(lock, "wx"));
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const age = Date.now() - (fs.statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > 300_000 || Date.now() - started > 300_000) fs.rmSync(lock, { force: true });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    run();
  } finally {
    fs.rmSync(lock, { force: true });
  }
}

function install() {
  const mark = path.join("node_modules", ".installed-from");
  const wanted = sha256(fs.readFileSync("package-lock.json"));
  const have = () => fs.existsSync(mark) && fs.readFileSync(mark, "utf8") === wanted;
  if (have()) return;
  locked(() => {
    if (have()) return;
    say("installing what package-lock.json names");
    try {
      execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { stdio: ["ignore", 2, 2] });
    } catch {
      fail("npm ci failed. Without a network, bring ui/node_modules along, or build with -Dconsole=false.");
    }
    fs.writeFileSync(mark, wanted);
  });
}

function filesBelow(folder) {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .flatMap((e) => (e.isDirectory() ? filesBelow(path.join(folder, e.name)) : [path.join(folder, e.name)]))
    .sort();
}

const CONTRACT = path.join("..", "docs", "openapi.yaml");
const TYPES = path.join("src", "api-types.ts");

// The generator wants TypeScript 5, the console is checked by TypeScript 7, which is ten times as fast.
function makeTypes() {
  const fresh = path.join("node_modules", `.api-types-${process.pid}.ts`);
  execFileSync(
    process.execPath,
    ["node_modules/openapi-typescript/bin/cli.js", CONTRACT, "--default-non-nullable=false", "--output", fresh],
    { stdio: ["ignore", "ignore", 2] },
  );
  const same = fs.existsSync(TYPES) && fs.readFileSync(TYPES).equals(fs.readFileSync(fresh));
  if (same) fs.rmSync(fresh);
  else fs.renameSync(fresh, TYPES);
}

function checkTypes() {
  execFileSync(process.execPath, ["node_modules/typescript-7/bin/tsc", "--project", "."], { stdio: ["ignore", 2, 2] });
}

// One file as the gateway wants to know it; compressed forms are kept where they are smaller.
function pack(folder, name) {
  const file = path.join(folder, name);
  const data = fs.readFileSync(file);
  const item = { path: name, immutable: name.startsWith("assets/"), sha256: sha256(data) };
  const forms = {
    gzip: [".gz", zlib.gzipSync(data, { level: 9 })],
    br: [".br", zlib.brotliCompressSync(data, { params: { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: data.length } })],
  };
  for (const [coding, [suffix, packed]] of Object.entries(forms)) {
    if (packed.length >= data.length) continue;
    fs.writeFileSync(file + suffix, packed);
    item[`${coding}_sha256`] = sha256(packed);
  }
  return { item, size: data.length, gzip: forms.gzip[1].length };
}

// What index.html loads by itself; what is loaded later for single pages does not count.
function checkBudget(folder, packed) {
  const html = fs.readFileSync(path.join(folder, "index.html"), "utf8");
  const initial = [...html.matchAll(/(?:src|href)="\/([^"]+)"/g)].map((m) => m[1]);
  const sum = (suffix) =>
    packed.filter((p) => initial.includes(p.item.path) && p.item.path.endsWith(suffix)).reduce((n, p) => n + p.gzip, 0);
  const js = sum(".js");
  const css = sum(".css");
  const all = packed.reduce((n, p) => n + p.gzip, 0);
  say(`JavaScript ${js} bytes and CSS ${css} bytes at first, ${all} bytes in all (gzip)`);
  if (js === 0 || css === 0) fail("index.html loads no script or no style: the build is not what was expected");
  if (js > JS_MAX) fail(`the first JavaScript may have ${JS_MAX} bytes`);
  if (css > CSS_MAX) fail(`the CSS may have ${CSS_MAX} bytes`);
}

async function build(out, depfile) {
  const work = `${out}.new`;
  fs.rmSync(work, { recursive: true, force: true });
  makeTypes();
  checkTypes();
  const vite = await import("vite");
  await vite.build({ configFile: "vite.config.mjs", logLevel: "warn", build: { outDir: work, emptyOutDir: true } });
  const names = filesBelow(work).map((f) => path.relative(work, f));
  const packed = names.map((name) => pack(work, name));
  fs.writeFileSync(
    path.join(work, "console.json"),
    `${JSON.stringify({ format: 1, files: packed.map((p) => p.item) }, null, 2)}\n`,
  );
  checkBudget(work, packed);
  fs.rmSync(out, { recursive: true, force: true });
  fs.renameSync(work, out);
  if (depfile) {
    const sources = [...filesBelow("src").filter((f) => f !== TYPES), CONTRACT, "index.html", "package-lock.json", "tsconfig.json", "vite.config.mjs", "build.mjs"];
    fs.writeFileSync(depfile.file, `${depfile.target}: ${sources.map((s) => path.resolve(s)).join(" ")}\n`);
  }
}

const { values } = parseArgs({ options: { out: { type: "string" }, depfile: { type: "string" }, install: { type: "boolean" } } });
if (!values.out && !values.install) fail("usage: node build.mjs --out FOLDER [--depfile FILE], or --install");
install();
if (values.out) {
  await build(
    path.resolve(start, values.out),
    values.depfile && { file: path.resolve(start, values.depfile), target: values.out },
  );
}
