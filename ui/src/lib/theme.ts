// SPDX-License-Identifier: Apache-2.0
// Light, dark, or as the system has it; kept in this browser.

import { createStore } from "./store";

export type Theme = "auto" | "light" | "dark";
const KEY = "fleet-theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

export const theme = createStore<Theme>(stored());

export function applyTheme(value: Theme): void {
  document.documentElement.dataset["theme"] = value;
  theme.set(value);
  try {
    if (value === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, value);
  } catch {
    // a browser that keeps nothing keeps nothing
  }
}
