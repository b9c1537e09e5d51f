// SPDX-License-Identifier: Apache-2.0
// From what a person has selected to whom an action is for, with the number and the digest that they saw.

import type { AgentRowPage, Match, Target } from "../types";
import { type AgentFilter, filterParameters, filterTarget } from "./agent-filter";
import { get, request } from "./api";
import { Problem } from "./problem";

/** "These N", by their ids, or "all that match": never both. */
export type Selection = { kind: "ids"; ids: string[] } | { kind: "all"; filter: AgentFilter };

export const TARGET_IDS_MAX = 10_000;

export interface ResolvedTarget {
  target: Target;
  count: number;
  digest: string;
  /** A filter that no rule can say: these agents, as they were just now. */
  snapshot: boolean;
}

async function readIds(filter: AgentFilter, signal: AbortSignal): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page: AgentRowPage & { next_cursor?: string } = await get<AgentRowPage>(
      "/agents",
      { ...filterParameters(filter), fields: "narrow", limit: 1000, cursor },
      signal,
    );
    if (page.total > TARGET_IDS_MAX) {
      throw new Problem(0, {
        type: "too-many",
        title: "Too many to be named one by one",
        detail:
          `These are ${page.total} agents; one action can name ${TARGET_IDS_MAX}. Choose them by labels, version, ` +
          "distribution or architecture alone, which makes a rule.",
      });
    }
    ids.push(...page.agents.map((a) => a.id));
    cursor = page.next_cursor;
  } while (cursor);
  return ids;
}

export async function matchTarget(target: Target, signal?: AbortSignal): Promise<Match> {
  return (await request<Match>("POST", "/agents/match", { body: target, ...(signal ? { signal } : {}) })).data;
}

export async function resolveSelection(selection: Selection, signal: AbortSignal): Promise<ResolvedTarget> {
  const rule = selection.kind === "all" ? filterTarget(selection.filter) : undefined;
  const target: Target =
    rule ?? { ids: selection.kind === "ids" ? selection.ids : await readIds(selection.filter, signal) };
  if (target.ids?.length === 0) {
    throw new Problem(0, { type: "empty", title: "Nobody is selected", detail: "No agent matches any more." });
  }
  const { count, digest } = await matchTarget(target, signal);
  return { target, count, digest, snapshot: selection.kind === "all" && !rule };
}
