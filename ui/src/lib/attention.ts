// SPDX-License-Identifier: Apache-2.0
// What a person should look at, the worst first. Pure.

import type { Tone } from "../parts/icon";
import type { AgentSummary, Releases, Rollout } from "../types";
import { formatNumber, formatRelative, plural } from "./format";
import { PHASES_FAILED } from "./words";

export interface Item {
  key: string;
  tone: Tone;
  text: string;
  /** Where to look, and what to do. */
  to: string;
  action: string;
}

const DAY = 86_400_000;
/** How long before its end a role's metadata is worth a word: what is signed by people takes days, not minutes. */
const SOON: Record<string, number> = { root: 30 * DAY, targets: 14 * DAY, snapshot: 7 * DAY, timestamp: DAY };

function ofRollouts(rollouts: Rollout[]): Item[] {
  const items: Item[] = [];
  for (const r of rollouts) {
    if (r.state === "paused" && r.reason !== "operator") {
      items.push({
        key: `rollout ${r.id}`,
        tone: "bad",
        text: `Rollout ${r.id} of ${r.version} stopped itself. ${r.reason_text ?? ""}`,
        to: `/rollouts/${r.id}`,
        action: "Look at it",
      });
    } else if (r.state === "running" && r.reason === "awaiting-approval") {
      items.push({
        key: `rollout ${r.id}`,
        tone: "warn",
        text: `Rollout ${r.id} of ${r.version} waits for an approval.`,
        to: `/rollouts/${r.id}`,
        action: "Decide",
      });
    }
  }
  return items;
}

function ofMetadata(releases: Releases, now: number): Item[] {
  const items: Item[] = [];
  for (const role of releases.metadata?.roles ?? []) {
    const left = Date.parse(role.expires) - now;
    if (left > (SOON[role.role] ?? DAY)) continue;
    items.push({
      key: `role ${role.role}`,
      tone: left <= 0 ? "bad" : "warn",
      text:
        left <= 0
          ? `The signed ${role.role} metadata has expired: no agent takes updates until it is signed anew and imported.`
          : `The signed ${role.role} metadata expires ${formatRelative(now + left, now)}.`,
      to: "/releases",
      action: "Who signs it",
    });
  }
  return items;
}

function ofReleases(releases: Releases): Item[] {
  return releases.releases
    .filter((r) => r.failed_on && r.failed_on.failed + r.failed_on.rolled_back + r.failed_on.timed_out > 0)
    .map((r) => {
      const f = r.failed_on ?? { failed: 0, rolled_back: 0, timed_out: 0 };
      const n = f.failed + f.rolled_back + f.timed_out;
      return {
        key: `release ${r.version}`,
        tone: "bad" as const,
        text: `The update to ${r.version} did not succeed on ${plural(n, "agent")}${f.rolled_back > 0 ? `; ${formatNumber(f.rolled_back)} went back by ${f.rolled_back === 1 ? "itself" : "themselves"}` : ""}.`,
        to: `/agents?update=${PHASES_FAILED.join(",")}`,
        action: "Which ones",
      };
    });
}

export function attention(
  summary: AgentSummary | undefined,
  rollouts: Rollout[] | undefined,
  releases: Releases | undefined,
  now: number,
): Item[] {
  const items = [...ofRollouts(rollouts ?? []), ...(releases ? [...ofMetadata(releases, now), ...ofReleases(releases)] : [])];
  const offline = summary?.states.offline ?? 0;
  if (offline > 0) {
    items.push({
      key: "offline",
      tone: "off",
      text: `${plural(offline, "agent is", "agents are")} offline.`,
      to: "/agents?state=offline&sort=last_seen",
      action: "Which ones",
    });
  }
  const never = summary?.states.never ?? 0;
  if (never > 0) {
    items.push({
      key: "never",
      tone: "off",
      text: `${plural(never, "agent has", "agents have")} enrolled and never connected.`,
      to: "/agents?state=never",
      action: "Which ones",
    });
  }
  const order: Tone[] = ["bad", "warn", "busy", "off", "plain", "ok"];
  return items.sort((a, b) => order.indexOf(a.tone) - order.indexOf(b.tone));
}
