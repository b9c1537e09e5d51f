// SPDX-License-Identifier: Apache-2.0
// The way from anywhere to the search field of the agents' page.

import { navigate, place } from "./router";

let field: HTMLInputElement | null = null;
let wanted = false;

function focusField(): void {
  field?.focus();
  field?.select();
}

export function searchAgents(): void {
  if (field) focusField();
  else {
    wanted = true;
    if (place.get().path !== "/agents") navigate("/agents");
  }
}

/** The field is there, or (null) no longer. */
export function setSearchField(input: HTMLInputElement | null): void {
  field = input;
  if (!input || !wanted) return;
  wanted = false;
  queueMicrotask(focusField); // it is in the document then
}
