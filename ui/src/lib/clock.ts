// SPDX-License-Identifier: Apache-2.0
// One timer for everything that says how long ago something was.

import { createStore, useStore } from "./store";

export const clock = createStore(Date.now());

setInterval(() => {
  if (!document.hidden) clock.set(Date.now());
}, 1000);

export function useNow(): number {
  return useStore(clock);
}
