// SPDX-License-Identifier: Apache-2.0
//
// packages.mjs: succeeds if node_modules holds what package-lock.json says, so that nothing need be installed. Uses none of it.

import { existsSync, readFileSync } from "node:fs";

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")).packages;

const installed = new URL("node_modules/.package-lock.json", import.meta.url);
const there = existsSync(installed) ? read("node_modules/.package-lock.json") : {};
const missing = Object.entries(read("package-lock.json"))
  .filter(([name, p]) => name !== "" && !p.optional && there[name]?.integrity !== p.integrity)
  .map(([name, p]) => `${name.replace(/^.*node_modules\//, "")} ${p.version}`);

if (missing.length > 0) {
  console.error(`contract: ${missing.length} npm packages are missing or others: ${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ", …" : ""}`);
  process.exitCode = 1;
}
