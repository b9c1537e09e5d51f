// SPDX-License-Identifier: Apache-2.0
// Requirements added to a selector and taken from it, as text. What a selector means is the gateway's to say; this only
// finds the commas that stand between requirements. Pure.

export function splitRequirements(selector: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const c of selector) {
    if (c === "(") depth++;
    if (c === ")") depth = Math.max(0, depth - 1);
    if (c === "," && depth === 0) {
      parts.push(part);
      part = "";
    } else part += c;
  }
  parts.push(part);
  return parts.map((p) => p.trim()).filter((p) => p !== "");
}

export function joinSelectors(...selectors: (string | undefined)[]): string {
  return selectors.flatMap((s) => splitRequirements(s ?? "")).join(",");
}

/** "key in (a,b)", or "key=a" for one. */
export function formatIn(key: string, values: string[]): string {
  return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(",")})`;
}

const IN = /^(\S+?)\s+in\s*\(([^)]*)\)$/;
const EQUALS = /^([^\s!=]+)\s*==?\s*([^\s!=]*)$/;

function readIn(requirement: string): { key: string; values: string[] } | undefined {
  const set = IN.exec(requirement);
  if (set) return { key: set[1] ?? "", values: (set[2] ?? "").split(",").map((v) => v.trim()) };
  const one = EQUALS.exec(requirement);
  return one ? { key: one[1] ?? "", values: [one[2] ?? ""] } : undefined;
}

/** The values that it asks for with this key, by "=" or "in". */
export function chosenValues(selector: string, key: string): string[] {
  return splitRequirements(selector).flatMap((r) => {
    const found = readIn(r);
    return found?.key === key ? found.values : [];
  });
}

/** Adds the value to what is asked for, or takes it away if it is there. */
export function toggleValue(selector: string, key: string, value: string): string {
  const values = chosenValues(selector, key);
  const next = values.includes(value) ? values.filter((v) => v !== value) : [...values, value];
  const rest = splitRequirements(selector).filter((r) => readIn(r)?.key !== key);
  return [...rest, ...(next.length > 0 ? [formatIn(key, next)] : [])].join(",");
}
