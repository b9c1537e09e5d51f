// SPDX-License-Identifier: Apache-2.0
// The words of the gateway, and how each is shown.

import type { Tone } from "../parts/icon";
import { shortId } from "./format";
import type { MemberState, Rollout } from "../types";

interface Word {
  text: string;
  tone: Tone;
}

const agentStates: Record<string, Word> = {
  online: { text: "Online", tone: "ok" },
  offline: { text: "Offline", tone: "off" },
  never: { text: "Never seen", tone: "plain" },
};

const phases: Record<string, Word> = {
  queued: { text: "Queued", tone: "plain" },
  offered: { text: "Offered", tone: "plain" },
  downloading: { text: "Downloading", tone: "busy" },
  verifying: { text: "Verifying", tone: "busy" },
  staging: { text: "Staging", tone: "busy" },
  restarting: { text: "Restarting", tone: "busy" },
  connected: { text: "Connected", tone: "busy" },
  confirming: { text: "Confirming", tone: "busy" },
  "rolling-back": { text: "Rolling back", tone: "warn" },
  succeeded: { text: "Back Online", tone: "ok" },
  "rolled-back": { text: "Rolled back", tone: "bad" },
  failed: { text: "Failed", tone: "bad" },
  "timed-out": { text: "Timed out", tone: "warn" },
  cancelled: { text: "Cancelled", tone: "off" },
};

export const PHASES_ACTIVE = [
  "queued",
  "offered",
  "downloading",
  "verifying",
  "staging",
  "restarting",
  "connected",
  "confirming",
  "rolling-back",
];
export const PHASES_FAILED = ["failed", "rolled-back", "timed-out"];

const rolloutStates: Record<string, Word> = {
  running: { text: "Running", tone: "busy" },
  paused: { text: "Paused", tone: "warn" },
  aborting: { text: "Aborting", tone: "warn" },
  completed: { text: "Completed", tone: "ok" },
  aborted: { text: "Aborted", tone: "off" },
};

const memberStates: Record<MemberState, Word> = {
  pending: { text: "Waiting", tone: "plain" },
  "in-flight": { text: "Updating", tone: "busy" },
  succeeded: { text: "Succeeded", tone: "ok" },
  failed: { text: "Failed", tone: "bad" },
  "rolled-back": { text: "Rolled back", tone: "bad" },
  "timed-out": { text: "Timed out", tone: "warn" },
  skipped: { text: "Skipped", tone: "off" },
  cancelled: { text: "Cancelled", tone: "off" },
  excluded: { text: "Excluded", tone: "off" },
};

export const MEMBER_STATES = Object.keys(memberStates) as MemberState[];

function word(words: Record<string, Word>, name: string): Word {
  return words[name] ?? { text: name, tone: "plain" };
}

export const agentState = (name: string) => word(agentStates, name);
export const phase = (name: string) => word(phases, name);
export const memberState = (name: string) => word(memberStates, name);

/** A rollout that stopped by itself is bad news; one that a person paused is not. */
export function rolloutState(r: Pick<Rollout, "state" | "reason">): Word {
  if (r.state === "paused" && r.reason !== "operator") return { text: "Stopped itself", tone: "bad" };
  if (r.state === "running" && r.reason === "awaiting-approval") return { text: "Awaits approval", tone: "warn" };
  return word(rolloutStates, r.state);
}

export function isFailedPhase(name: string | undefined): boolean {
  return name !== undefined && PHASES_FAILED.includes(name);
}

export function isActivePhase(name: string | undefined): boolean {
  return name !== undefined && PHASES_ACTIVE.includes(name);
}

/** "user:alice" → "alice"; other actors say what they are. */
export function actorName(actor: string | undefined): string {
  if (!actor) return "–";
  if (actor.startsWith("user:")) return actor.slice(5);
  if (actor === "gateway") return "the gateway";
  const [kind = "", name = ""] = actor.split(":");
  return `${kind.replace("-", " ")} ${shortId(name)}`;
}
