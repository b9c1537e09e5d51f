// SPDX-License-Identifier: Apache-2.0
// A target on its way to another page: a rule goes into the address, a list of ids does not fit there and stays in this
// tab.

import type { Target } from "../types";

const PREFIX = "fleet-target ";

function store(key: string, value: string): void {
  try {
    sessionStorage.setItem(PREFIX + key, value);
  } catch {
    // then the page that is come to asks for a target
  }
}

export function keepTarget(t: Target): string {
  if (t.all) return "all=true";
  if (t.group !== undefined) return `group=${encodeURIComponent(t.group)}`;
  if (t.selector !== undefined) return `selector=${encodeURIComponent(t.selector)}`;
  const key = crypto.randomUUID().slice(0, 8);
  store(key, JSON.stringify(t.ids ?? (t.agent ? [t.agent] : [])));
  return `picked=${key}`;
}

export function findTarget(query: URLSearchParams): Target | undefined {
  const group = query.get("group");
  const selector = query.get("selector");
  const picked = query.get("picked");
  if (query.get("all") === "true") return { all: true };
  if (group) return { group };
  if (selector) return { selector };
  if (!picked) return undefined;
  try {
    const ids: unknown = JSON.parse(sessionStorage.getItem(PREFIX + picked) ?? "[]");
    return Array.isArray(ids) && ids.length > 0 ? { ids: ids.map(String) } : undefined;
  } catch {
    return undefined;
  }
}
