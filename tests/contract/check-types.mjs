// SPDX-License-Identifier: Apache-2.0
//
// check-types.mjs FOLDER: makes TypeScript of docs/openapi.yaml there, as "npm run types" does for the console, and compiles sample.ts
// with it.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

const [folder] = process.argv.slice(2);
if (!folder) throw new Error("usage: check-types.mjs FOLDER");
mkdirSync(folder, { recursive: true });
execFileSync("npm", ["run", "--silent", "types", "--", join(folder, "api-types.ts")], { cwd: here, stdio: "inherit" });
copyFileSync(join(here, "sample.ts"), join(folder, "sample.ts"));
const options = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
execFileSync(join(here, "node_modules/.bin/tsc"), [...options, "api-types.ts", "sample.ts"], { cwd: folder, stdio: "inherit" });
