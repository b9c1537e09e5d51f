// SPDX-License-Identifier: Apache-2.0
//
// A module of src/lib, with what it includes, as a browser gets it.

import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const lib = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../src/lib");

export async function load(name) {
  const result = await build({ entryPoints: [path.join(lib, `${name}.ts`)], bundle: true, format: "esm", target: "es2022", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(result.outputFiles[0].contents).toString("base64")}`);
}

/** The same numbers each time, so that what fails can be looked at. */
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, below: (n) => Math.floor(next() * n), pick: (list) => list[Math.floor(next() * list.length)] };
}

/** Time that goes on when it is told to. */
export class FakeClock {
  #now = 0;
  #timers = [];

  now() {
    return this.#now;
  }

  after(milliseconds, run) {
    const timer = { at: this.#now + milliseconds, run };
    this.#timers.push(timer);
    return timer;
  }

  cancel(timer) {
    this.#timers = this.#timers.filter((t) => t !== timer);
  }

  advance(milliseconds) {
    const end = this.#now + milliseconds;
    for (;;) {
      const due = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.cancel(due);
      this.#now = due.at;
      due.run();
    }
    this.#now = end;
  }
}
