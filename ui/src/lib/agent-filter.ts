// SPDX-License-Identifier: Apache-2.0
// Which agents a list shows: the state of a page's address, the parameters of the API, and, for an action on all that
// match, a target. Pure.

import type { Target } from "../types";
import type { Parameters } from "./api";
import { formatIn, joinSelectors } from "./selector-text";

export interface AgentFilter {
  q: string;
  selector: string;
  group: string;
  state: string[];
  version: string[];
  update: string[];
  os: string[];
  arch: string[];
}

const lists = ["state", "version", "update", "os", "arch"] as const;
export type ListName = (typeof lists)[number];

function words(text: string | null): string[] {
  return (text ?? "").split(",").filter((w) => w !== "");
}

export function readFilter(query: URLSearchParams): AgentFilter {
  return {
    q: query.get("q") ?? "",
    selector: query.get("selector") ?? "",
    group: query.get("group") ?? "",
    state: words(query.get("state")),
    version: words(query.get("version")),
    update: words(query.get("update")),
    os: words(query.get("os")),
    arch: words(query.get("arch")),
  };
}

export function isFiltered(f: AgentFilter): boolean {
  return f.q !== "" || f.selector !== "" || f.group !== "" || lists.some((name) => f[name].length > 0);
}

/** Names as people paste them, on one line. */
export function tidyTerms(text: string): string {
  return text.split(/[\s,;]+/).filter((t) => t !== "").join(" ");
}

/** Distribution and architecture are facts, which selectors know. */
function wholeSelector(f: AgentFilter): string {
  return joinSelectors(
    f.selector,
    f.os.length > 0 ? formatIn("fact.os", f.os) : "",
    f.arch.length > 0 ? formatIn("fact.arch", f.arch) : "",
  );
}

export function filterParameters(f: AgentFilter): Parameters {
  return {
    q: f.q,
    selector: wholeSelector(f),
    group: f.group,
    state: f.state.join(","),
    version: f.version.join(","),
    update: f.update.join(","),
  };
}

/** What a page's address says for it. */
export function filterQuery(f: AgentFilter): Record<string, string> {
  return {
    q: f.q,
    selector: f.selector,
    group: f.group,
    state: f.state.join(","),
    version: f.version.join(","),
    update: f.update.join(","),
    os: f.os.join(","),
    arch: f.arch.join(","),
  };
}

/**
 * All that match, as a target of an action. A rule (everybody, a group, a selector) also holds for agents that come
 * later; what no rule can say (a state, a phase, a beginning of a name) must be turned into a list of ids first, which
 * undefined asks for.
 */
export function filterTarget(f: AgentFilter): Target | undefined {
  if (f.q !== "" || f.state.length > 0 || f.update.length > 0 || f.version.includes("none")) return undefined;
  const selector = joinSelectors(
    wholeSelector(f),
    f.version.length > 0 ? formatIn("fact.version", f.version) : "",
  );
  if (f.group !== "") return selector === "" ? { group: f.group } : undefined;
  return selector === "" ? { all: true } : { selector };
}

export function describeFilter(f: AgentFilter): string {
  const target = filterTarget(f);
  if (target) return describeTarget(target);
  const parts = [
    f.group && `of the group ${f.group}`,
    wholeSelector(f) && `with ${wholeSelector(f)}`,
    f.q && `whose name begins with ${f.q.split(" ").slice(0, 3).join(" or ")}${f.q.split(" ").length > 3 ? " or …" : ""}`,
    f.state.length > 0 && `that are ${f.state.join(" or ")}`,
    f.version.length > 0 && `at ${f.version.join(" or ")}`,
    f.update.length > 0 && `with the update ${f.update.join(" or ")}`,
  ].filter(Boolean);
  return `agents ${parts.join(", ")}`;
}

export function describeTarget(t: Target): string {
  if (t.all) return "all agents";
  if (t.group !== undefined) return `group ${t.group}`;
  if (t.selector !== undefined) return t.selector;
  if (t.agent !== undefined) return `agent ${t.agent}`;
  const n = t.ids?.length ?? 0;
  return n === 1 ? "one named agent" : `${n} named agents`;
}
