// SPDX-License-Identifier: Apache-2.0
//
// Uses the types that are made of docs/openapi.yaml as the console does; check-types.mjs compiles it with them. Where the
// contract forbids something the compiler must see it, too.

import type { Agent, AgentRow, FleetEvent, Me, paths, Problem, RolloutDetail, RolloutRequest, RolloutState, Update, UpdateRequest } from "./api-types";

type Query = NonNullable<paths["/api/v1/agents"]["get"]["parameters"]["query"]>;
type Rows = paths["/api/v1/agents"]["get"]["responses"][200]["content"]["application/json"];

export const query: Query = { state: ["online", "offline"], update: ["failed", "none"], sort: "-last_seen", limit: 50, fields: "narrow" };

export function titles(page: Rows): string[] {
  return page.agents.map((a: Agent | AgentRow) => ("facts" in a ? (a.facts.hostname ?? a.id) : a.id));
}

export function progress(u: Update): number | undefined {
  return u.phase === "downloading" && u.bytes_done !== undefined && u.bytes_total !== undefined ? u.bytes_done / u.bytes_total : undefined;
}

/** Every state has a colour: one that is added to the contract does not compile here. */
export const colour: Record<RolloutState, string> = {
  running: "blue",
  paused: "amber",
  aborting: "amber",
  completed: "green",
  aborted: "red",
};

export function failed(r: RolloutDetail): number {
  return r.counts["rolled-back"] + r.counts.failed + r.counts["timed-out"];
}

export function whom(r: RolloutDetail): string {
  if (!r.target) return "?";
  if ("selector" in r.target) return r.target.selector;
  if ("group" in r.target) return r.target.group;
  return "ids" in r.target ? r.target.ids.join(", ") : "all";
}

export function on(event: FleetEvent): string {
  switch (event.event) {
    case "agent":
      return event.data.change === "removed" ? event.data.id : event.data.state;
    case "update":
      return event.data.phase;
    case "desired":
      return "deleted" in event.data ? "" : event.data.version;
    case "rollout":
      return event.data.reason_text;
    case "labels":
      return String(event.data.changed);
    case "group":
      return event.data.name;
    case "release":
      return event.data.version;
    case "reset":
      return "read the lists again";
  }
}

export function csrf(me: Me): string | undefined {
  return me.kind === "user" ? me.csrf_token : undefined;
}

export function blame(p: Problem): string | undefined {
  const error = p.errors?.[0];
  return error && ("pointer" in error ? error.pointer : error.parameter);
}

export const rollout: RolloutRequest = {
  version: "1.1.0",
  target: { group: "web" },
  strategy: { canary: { count: 10, approval: true }, windows: [{ days: ["mon"], start: "22:00", duration_sec: 14400, time_zone: "Europe/Berlin" }] },
};

export const everybody: UpdateRequest = { all: true, version: "1.1.0", expected_count: 3 };

// @ts-expect-error there is no such phase
export const phase: Update["phase"] = "downloaded";
// @ts-expect-error somebody must be named
export const nobody: UpdateRequest = { version: "1.1.0" };
// @ts-expect-error all must be said
export const notAll: UpdateRequest = { all: false, version: "1.1.0" };
// @ts-expect-error there is no such parameter
export const misspelt: Query = { stat: ["online"] };
// @ts-expect-error there is no such member
export const misnamed: RolloutRequest = { version: "1.1.0", target: { all: true }, strategie: {} };
