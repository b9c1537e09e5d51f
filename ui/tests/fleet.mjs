// SPDX-License-Identifier: Apache-2.0
//
// The fleet that most cases share: each part of it belongs to one of them, so that they do not come in each other's way.

import { FAST, Lab, SLOW } from "./lab.mjs";

/** Bad on every other machine. */
export const BAD = "1.2.0";
export const GOOD = "1.1.0";

const PARTS = [
  { name: "web", agents: 24, labels: ["env=production", "tier=web"] },
  { name: "db", agents: 16, labels: ["env=production", "tier=db"] },
  { name: "staging", agents: 12, labels: ["env=staging", "tier=web"] },
  { name: "slow", agents: 6, labels: ["env=staging", "tier=slow"], options: SLOW },
  { name: "keys", agents: 4, labels: ["env=test", "tier=keys"] },
];

export const AGENTS = PARTS.reduce((n, p) => n + p.agents, 0);

export async function startFleet(say) {
  const lab = new Lab("fleet");
  try {
    await lab.startGateway();
    await lab.release("1.0.0");
    // large enough to be seen on its way
    await lab.release(GOOD, 8 << 20);
    let first = 0;
    for (const p of PARTS) {
      await lab.simulate(p.agents, { name: p.name, first, labels: p.labels, options: [...(p.options ?? FAST), `--release-fault=${BAD}:50%`] });
      first += p.agents;
    }
    await lab.waitOnline(AGENTS);
    await lab.makeUser("alice", "admin");
    await lab.makeUser("otto", "operator");
    await lab.makeUser("vera", "viewer");
  } catch (error) {
    process.stdout.write(`${lab.logs()}\n`);
    await lab.close();
    throw error;
  }
  say(`       a gateway with ${AGENTS} simulated agents`);
  return lab;
}
