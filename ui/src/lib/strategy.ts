// SPDX-License-Identifier: Apache-2.0
// Strategies of rollouts in words, and the two that a selection is updated with. Pure.

import type { Preview, Strategy } from "../types";
import { formatNumber, formatSpan, plural } from "./format";

/** Those who are chosen one by one are few, and are watched: all of them at once, but not more than so many. */
export const AT_ONCE_MAX = 50;

export function atOnce(count: number): Strategy {
  return {
    canary: { count: 0 },
    batch: { percent: 100, every_sec: 0, success_percent: 0 },
    max_in_flight: Math.max(1, Math.min(count, AT_ONCE_MAX)),
    max_failures: { count: Math.floor(count / 10) },
  };
}

/** There are no batches, so that none need be shown. */
export function isAtOnce(s: Strategy): boolean {
  return s.batch?.percent === 100;
}

function amount(a: { count?: number; size?: number; percent?: number } | undefined): string | undefined {
  const n = a?.count ?? a?.size;
  if (n !== undefined) return formatNumber(n);
  return a?.percent === undefined ? undefined : `${a.percent} %`;
}

export function describeCanaries(s: Strategy): string {
  const c = s.canary ?? {};
  const n = c.ids ? plural(c.ids.length, "named canary", "named canaries") : c.count === 0 || c.percent === 0 ? "" : `${amount(c) ?? "some"} canaries`;
  if (!n) return "No canaries.";
  const then = [
    `${c.success_percent ?? 100} % of them must succeed`,
    c.soak_sec ? `they are watched for ${formatSpan(c.soak_sec)}` : "",
    c.approval ? "somebody must approve" : "",
  ].filter(Boolean);
  return `${n} first; ${then.join(", ")}.`;
}

export function describeBatches(s: Strategy): string {
  const b = s.batch ?? {};
  const ramp = b.ramp?.length ? `${b.ramp.map(formatNumber).join(", ")}, then ` : "";
  const size = b.percent === 100 ? "all at once" : `${amount(b) ?? "?"} agents`;
  const every = b.every_sec ? ` every ${formatSpan(b.every_sec)}` : b.percent === 100 ? "" : " at a time";
  const gates = [
    b.success_percent ? `a batch goes on when ${b.success_percent} % of the one before succeeded` : "",
    b.soak_sec ? `each is watched for ${formatSpan(b.soak_sec)}` : "",
    b.approval ? "somebody must approve each" : "",
  ].filter(Boolean);
  return `${ramp}${size}${every}${gates.length > 0 ? `; ${gates.join(", ")}` : ""}.`;
}

export function describeStop(s: Strategy): string {
  const m = s.max_failures;
  if (m?.count === 0) return "It stops by itself at the first failure.";
  if (m?.count !== undefined) return `It stops by itself when more than ${formatNumber(m.count)} fail.`;
  return `It stops by itself when more than ${m?.percent ?? 5} % fail.`;
}

export function previewSpan(p: Preview, now: number): string | undefined {
  if (!p.ends) return undefined;
  return formatSpan((Date.parse(p.ends) - now) / 1000);
}
