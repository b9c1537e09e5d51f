// SPDX-License-Identifier: Apache-2.0
// What is written into the form of a strategy, and the strategy that it says. Pure.

import type { Strategy, Weekday } from "../types";

export interface WindowForm {
  days: Weekday[];
  start: string;
  hours: string;
  zone: string;
}

/** Texts as they stand in the fields; an empty one leaves it to the gateway. */
export interface StrategyForm {
  canaries: "default" | "none" | "count" | "percent";
  canaryAmount: string;
  canarySuccess: string;
  canarySoak: string;
  canaryApproval: boolean;
  batchKind: "count" | "percent" | "all";
  batchAmount: string;
  ramp: string;
  every: string;
  batchSuccess: string;
  batchSoak: string;
  batchApproval: boolean;
  inFlight: string;
  failureKind: "percent" | "count";
  failures: string;
  offline: "wait" | "skip";
  offlineDays: string;
  attempts: string;
  newAgents: boolean;
  setDesired: boolean;
  emergency: boolean;
  windows: WindowForm[];
}

/** The gateway's own defaults, said. */
export const defaultForm: StrategyForm = {
  canaries: "default",
  canaryAmount: "10",
  canarySuccess: "100",
  canarySoak: "1",
  canaryApproval: false,
  batchKind: "count",
  batchAmount: "50",
  ramp: "",
  every: "10",
  batchSuccess: "90",
  batchSoak: "0",
  batchApproval: false,
  inFlight: "",
  failureKind: "percent",
  failures: "5",
  offline: "wait",
  offlineDays: "7",
  attempts: "3",
  newAgents: false,
  setDesired: false,
  emergency: false,
  windows: [],
};

/** NaN for what is no number, which the gateway then refuses at its place. */
function number(text: string): number | undefined {
  const t = text.trim().replace(",", ".");
  return t === "" ? undefined : Number(t);
}

function seconds(text: string, unit: number): number | undefined {
  const n = number(text);
  return n === undefined ? undefined : Math.round(n * unit);
}

function defined<T extends object>(o: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(o).filter((e) => e[1] !== undefined)) as T;
}

export function readStrategy(f: StrategyForm): Strategy {
  const amount = number(f.canaryAmount);
  const canary = defined<NonNullable<Strategy["canary"]>>({
    count: f.canaries === "none" ? 0 : f.canaries === "count" ? amount : undefined,
    percent: f.canaries === "percent" ? amount : undefined,
    ids: undefined,
    success_percent: f.canaries === "none" ? undefined : number(f.canarySuccess),
    soak_sec: f.canaries === "none" ? undefined : seconds(f.canarySoak, 60),
    approval: f.canaries !== "none" && f.canaryApproval ? true : undefined,
  });
  const ramp = f.ramp.split(/[\s,;]+/).filter((t) => t !== "").map(Number);
  const batch = defined<NonNullable<Strategy["batch"]>>({
    size: f.batchKind === "count" ? number(f.batchAmount) : undefined,
    percent: f.batchKind === "all" ? 100 : f.batchKind === "percent" ? number(f.batchAmount) : undefined,
    ramp: ramp.length > 0 ? ramp : undefined,
    every_sec: f.batchKind === "all" ? 0 : seconds(f.every, 60),
    success_percent: number(f.batchSuccess),
    soak_sec: seconds(f.batchSoak, 60),
    approval: f.batchApproval ? true : undefined,
  });
  const failures = number(f.failures);
  return defined<Strategy>({
    canary,
    batch,
    max_in_flight: number(f.inFlight),
    max_failures: failures === undefined ? undefined : f.failureKind === "count" ? { count: failures } : { percent: failures },
    attempts: number(f.attempts),
    retry_pause_sec: undefined,
    offline: f.offline,
    offline_wait_sec: f.offline === "wait" ? seconds(f.offlineDays, 86_400) : undefined,
    include_new_agents: f.newAgents ? true : undefined,
    set_desired: f.setDesired ? true : undefined,
    emergency: f.emergency ? true : undefined,
    windows:
      f.windows.length > 0
        ? f.windows.map((w) => ({ days: w.days, start: w.start, duration_sec: seconds(w.hours, 3600) ?? 0, time_zone: w.zone }))
        : undefined,
  });
}

/** The first thing that cannot even be sent. */
export function checkForm(f: StrategyForm): string | undefined {
  const texts: [string, string][] = [
    ["the canaries", f.canaries === "count" || f.canaries === "percent" ? f.canaryAmount : "1"],
    ["what canaries must succeed", f.canarySuccess],
    ["how long canaries are watched", f.canarySoak],
    ["the size of a batch", f.batchKind === "all" ? "1" : f.batchAmount],
    ["the period", f.every],
    ["what of a batch must succeed", f.batchSuccess],
    ["how long a batch is watched", f.batchSoak],
    ["how many at the same time", f.inFlight],
    ["what may fail", f.failures],
    ["how long it waits for who is offline", f.offlineDays],
    ["the attempts", f.attempts],
  ];
  for (const [what, text] of texts) {
    if (Number.isNaN(number(text) ?? 0)) return `Write a number for ${what}.`;
  }
  if (f.ramp.split(/[\s,;]+/).some((t) => t !== "" && Number.isNaN(Number(t)))) return "Write the sizes of the first batches as numbers with commas.";
  if (f.windows.some((w) => w.days.length === 0)) return "Choose the days of each window.";
  return undefined;
}
