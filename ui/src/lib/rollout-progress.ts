// SPDX-License-Identifier: Apache-2.0
// What a rollout's numbers mean. Pure.

import type { MemberState, Rollout, RolloutWhole, Strategy } from "../types";
import { formatNumber, formatShare, plural } from "./format";

export interface Part {
  states: MemberState[];
  text: string;
  count: number;
  tone: "ok" | "busy" | "bad" | "wait" | "off";
}

/** The cohort, in the order in which a bar shows it; the sum is always all of it. */
export function progressParts(r: Pick<Rollout, "counts">): Part[] {
  const c = r.counts;
  const parts: Part[] = [
    { states: ["succeeded"], text: "Succeeded", count: c.succeeded, tone: "ok" },
    { states: ["in-flight"], text: "Updating", count: c["in-flight"], tone: "busy" },
    { states: ["failed"], text: "Failed", count: c.failed, tone: "bad" },
    { states: ["rolled-back"], text: "Rolled back", count: c["rolled-back"], tone: "bad" },
    { states: ["timed-out"], text: "Timed out", count: c["timed-out"], tone: "bad" },
    { states: ["pending"], text: "Waiting", count: c.pending, tone: "wait" },
    { states: ["skipped"], text: "Skipped", count: c.skipped, tone: "off" },
    { states: ["cancelled"], text: "Cancelled", count: c.cancelled, tone: "off" },
  ];
  return parts;
}

/** "412 of 2,400". */
export function doneText(r: Pick<Rollout, "counts" | "cohort">): string {
  return `${formatNumber(r.counts.succeeded)} of ${formatNumber(r.cohort)}`;
}

export interface Gauge {
  /** 0 to 1 of what is allowed, and above when it was exceeded. */
  filled: number;
  text: string;
  exceeded: boolean;
}

export function failureGauge(r: Pick<Rollout, "counted">, s: Strategy): Gauge {
  const failures = r.counted?.failures ?? 0;
  const admitted = r.counted?.admitted ?? 0;
  const max = s.max_failures ?? {};
  if (max.count !== undefined) {
    const exceeded = failures > max.count;
    return {
      filled: max.count > 0 ? failures / max.count : failures > 0 ? 1.2 : 0,
      text: `${plural(failures, "failure")}; ${max.count === 0 ? "none is" : `${formatNumber(max.count)} are`} allowed`,
      exceeded,
    };
  }
  const percent = max.percent ?? 5;
  const share = admitted > 0 ? (failures / admitted) * 100 : 0;
  return {
    filled: percent > 0 ? share / percent : failures > 0 ? 1.2 : 0,
    text: `${formatShare(failures, admitted)} of ${plural(admitted, "agent")} begun failed; ${percent} % are allowed`,
    exceeded: failures * 100 > admitted * percent,
  };
}

export interface Batch {
  batch: number;
  agents: number;
  succeeded: number;
  failed: number;
  inFlight: number;
  /** When it begins, if it has not. */
  begins: string | undefined;
}

/** Those that were, then those that are to come. */
export function batchStrip(r: RolloutWhole): Batch[] {
  const past: Batch[] = r.batches.map((b) => ({
    batch: b.batch,
    agents: b.admitted,
    succeeded: b.succeeded,
    failed: b.failed,
    inFlight: b.in_flight,
    begins: undefined,
  }));
  const last = past.at(-1)?.batch ?? -1;
  const coming = (r.preview?.batches ?? []).filter((b) => b.batch > last);
  // the batch that is under way may take more
  const more = r.preview?.batches.find((b) => b.batch === last);
  const present = past.at(-1);
  if (more && present) present.agents += more.agents;
  return [
    ...past,
    ...coming.map((b) => ({ batch: b.batch, agents: b.agents, succeeded: 0, failed: 0, inFlight: 0, begins: b.begins })),
  ];
}

export function batchName(batch: number): string {
  return batch === 0 ? "Canaries" : `Batch ${batch}`;
}

/** "Batch 3; 4 of 48 have begun"; of one that stands still, nobody knows how many will. */
export function describeStrip(r: RolloutWhole, strip: Batch[]): string {
  const begun = strip.filter((b) => !b.begins).length;
  const all = `${plural(strip.length, "batch", "batches")}${strip[0]?.batch === 0 ? ", canaries first" : ""}`;
  if (r.terminal) return all;
  if (r.preview) return `${batchName(r.batch)}; ${formatNumber(begun)} of ${formatNumber(Math.max(strip.length, r.preview.batches_total))} have begun`;
  return r.counts.pending > 0 ? `${batchName(r.batch)}; ${plural(r.counts.pending, "agent")} would follow` : all;
}

/** What waits for a time, and until when. */
export function waitsUntil(r: Pick<Rollout, "state" | "reason" | "next_look">): string | undefined {
  const timed = ["next-batch", "soaking", "outside-window", "retry-pause", "waiting-for-offline"];
  return r.state === "running" && timed.includes(r.reason) ? r.next_look : undefined;
}

export type Verb = "pause" | "resume" | "approve" | "abort" | "retry-failed" | "roll-back";

/** What can be done with it now, in the order of the buttons. */
export function verbsOf(r: Rollout): Verb[] {
  const verbs: Verb[] = [];
  if (r.state === "running" && r.reason === "awaiting-approval") verbs.push("approve");
  if (r.state === "running") verbs.push("pause");
  if (r.state === "paused") verbs.push("resume");
  if (r.failures > 0 && r.state !== "aborting" && r.state !== "aborted") verbs.push("retry-failed");
  if (r.state === "running" || r.state === "paused") verbs.push("abort");
  if (r.terminal && r.kind === "update" && r.counts.succeeded > 0) verbs.push("roll-back");
  return verbs;
}

export const verbText: Record<Verb, string> = {
  approve: "Approve",
  pause: "Pause",
  resume: "Resume",
  abort: "Abort",
  "retry-failed": "Retry failed",
  "roll-back": "Roll back",
};
