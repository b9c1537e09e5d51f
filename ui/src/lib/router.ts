// SPDX-License-Identifier: Apache-2.0
// Addresses. The path says which page, the query everything about its state that is worth to be kept or sent to somebody.

import { createStore, useStore } from "./store";

export interface Place {
  path: string;
  query: URLSearchParams;
  /** Rises with each new entry of the history, so that going back can be told from going on. */
  entry: number;
}

let entries = 0;

function read(): Place {
  const state: unknown = history.state;
  const entry =
    typeof state === "object" && state !== null && "entry" in state && typeof state.entry === "number" ? state.entry : 0;
  return { path: location.pathname, query: new URLSearchParams(location.search), entry };
}

export const place = createStore<Place>(read());
entries = place.get().entry;

export function startRouter(): void {
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => place.set(read()));
}

/** A query without what is empty, in a fixed spelling: blanks and commas stay readable. */
export function formatPlace(path: string, query?: URLSearchParams | Record<string, string | undefined>): string {
  const pairs = query instanceof URLSearchParams ? [...query] : Object.entries(query ?? {});
  const text = pairs
    .filter((p): p is [string, string] => p[1] !== undefined && p[1] !== "")
    .map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v).replace(/%2C/g, ",").replace(/%20/g, "+")}`)
    .join("&");
  return text ? `${path}?${text}` : path;
}

export function navigate(to: string, options: { replace?: boolean } = {}): void {
  const entry = options.replace ? place.get().entry : ++entries;
  history[options.replace ? "replaceState" : "pushState"]({ entry }, "", to);
  place.set(read());
}

export function usePlace(): Place {
  return useStore(place);
}

/** Changes some parameters of the page that is shown; an empty value removes one. */
export function changeQuery(changes: Record<string, string | undefined>, options: { replace?: boolean } = {}): void {
  const { path, query } = place.get();
  const next = new URLSearchParams(query);
  for (const [key, value] of Object.entries(changes)) {
    if (value) next.set(key, value);
    else next.delete(key);
  }
  const to = formatPlace(path, next);
  if (to !== formatPlace(path, query)) navigate(to, options);
}
