// SPDX-License-Identifier: Apache-2.0
//
// lint.mjs [FILE]: redocly over docs/openapi.yaml, or FILE; a warning is a mistake, too. It tells nobody that it runs.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const file = process.argv[2] ?? here("../../docs/openapi.yaml");
const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
const arguments_ = [here("node_modules/@redocly/cli/bin/cli.js"), "lint", "--config", here("redocly.yaml"), "--format", "json", file];

const done = spawnSync(process.execPath, arguments_, { encoding: "utf8", env, maxBuffer: 1 << 26 });
let report;
try {
  report = JSON.parse(done.stdout);
} catch {
  console.log(done.stdout + done.stderr);
  process.exit(1);
}
for (const p of report.problems) console.log(`${p.location[0]?.pointer ?? ""}: ${p.message} (${p.severity}, ${p.ruleId})`);
console.log(`${report.totals.errors} errors, ${report.totals.warnings} warnings`);
process.exit(report.problems.length > 0 || done.status !== 0 ? 1 : 0);
