// SPDX-License-Identifier: Apache-2.0
// An update as the few steps that people follow, each with the time that it took. Pure.

import type { Durations, Update } from "../types";

export type StepState = "done" | "now" | "failed" | "coming";

export interface Step {
  title: string;
  state: StepState;
  /** What happens just now within it, in words. */
  detail: string | undefined;
  /** So far, if it is the present one. */
  took: number | undefined;
  /** What it takes in this fleet. */
  median: number | undefined;
}

const groups: { title: string; phases: string[]; back: boolean }[] = [
  { title: "Queued", phases: ["queued", "offered"], back: true },
  { title: "Downloading", phases: ["downloading"], back: false },
  { title: "Verifying", phases: ["verifying", "staging"], back: false },
  { title: "Restarting", phases: ["restarting", "connected", "confirming", "rolling-back"], back: true },
];

const details: Record<string, string> = {
  queued: "Follows when the agent is there",
  offered: "The agent has been told",
  verifying: "Hashes and signatures",
  staging: "The updater verifies again, and the new binaries test themselves",
  restarting: "The link is switched, the service restarts",
  connected: "The new version has reached the gateway",
  confirming: "The new version must stay connected for a while",
  "rolling-back": "The old version comes back",
};

const terminal: Record<string, string> = {
  succeeded: "Back Online",
  "rolled-back": "Rolled back",
  failed: "Failed",
  "timed-out": "Timed out",
  cancelled: "Cancelled",
};

function indexOf(phase: string | undefined): number {
  return groups.findIndex((g) => phase !== undefined && g.phases.includes(phase));
}

/** Where it stands, or stood when it ended badly. */
function lastIndex(u: Update): number {
  const failed = indexOf(u.failed_phase);
  if (failed >= 0) return failed;
  const seen = (u.phases ?? []).map((p) => indexOf(p.phase)).filter((i) => i >= 0);
  return seen.length > 0 ? Math.max(...seen) : 0;
}

function tookIn(u: Update, phases: string[], now: number): number | undefined {
  const of = (u.phases ?? []).filter((p) => phases.includes(p.phase));
  if (of.length === 0) return undefined;
  return of.reduce((sum, p) => sum + (p.took_ms ?? (u.terminal ? 0 : Math.max(0, now - Date.parse(p.entered)))), 0);
}

/** Exact where the steps are known; times in lists are of whole seconds. */
export function tookInAll(u: Update): number | undefined {
  if (!u.finished) return undefined;
  const exact = (u.phases ?? []).reduce((sum, p) => sum + (p.took_ms ?? 0), 0);
  return exact || Math.max(0, Date.parse(u.finished) - Date.parse(u.created));
}

function medianOf(d: Durations | undefined, phases: string[]): number | undefined {
  const of = (d?.phases ?? []).filter((p) => phases.includes(p.phase));
  return of.length === 0 ? undefined : of.reduce((sum, p) => sum + p.median_ms, 0);
}

export function readSteps(u: Update, durations: Durations | undefined, now: number): Step[] {
  const ended = u.terminal;
  const good = u.phase === "succeeded";
  const here = ended ? lastIndex(u) : indexOf(u.phase);
  const steps: Step[] = groups
    .map((g, i) => ({ g, i }))
    .filter(({ g }) => !u.back || g.back)
    .map(({ g, i }) => {
      const state: StepState = good || i < here ? "done" : i > here ? "coming" : ended ? (u.phase === "cancelled" ? "coming" : "failed") : "now";
      return {
        title: g.title,
        state,
        detail: state === "now" ? details[u.phase] : undefined,
        took: state === "coming" ? undefined : tookIn(u, g.phases, now),
        median: medianOf(durations, g.phases),
      };
    });
  steps.push({
    title: ended ? (terminal[u.phase] ?? u.title) : "Back Online",
    state: good ? "done" : ended ? (u.phase === "cancelled" ? "done" : "failed") : "coming",
    detail: undefined,
    took: ended ? tookInAll(u) : undefined,
    median: durations?.median_ms,
  });
  return steps;
}

/** Puts what an event says into an update that has its steps; one that is new has none yet. */
export function mergeUpdate(old: Update | undefined, event: Update): Update {
  if (old?.id !== event.id) return { ...event, phases: [] };
  const phases = [...(old.phases ?? [])];
  const last = phases.at(-1);
  if (last?.phase !== event.phase) {
    const entered = event.finished ?? event.updated ?? new Date().toISOString();
    if (last && last.took_ms === undefined) {
      phases[phases.length - 1] = { ...last, took_ms: Math.max(0, Date.parse(entered) - Date.parse(last.entered)) };
    }
    phases.push({ phase: event.phase, entered });
  }
  return { ...event, phases };
}
