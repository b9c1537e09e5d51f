// SPDX-License-Identifier: Apache-2.0
// Short words about what was just done.

import type { ComponentChildren } from "preact";
import { createStore, useStore } from "../lib/store";
import { Button } from "./basics";

interface Toast {
  id: number;
  content: ComponentChildren;
}

const toasts = createStore<Toast[]>([]);
let last = 0;

export function toast(content: ComponentChildren): void {
  const id = ++last;
  toasts.set([...toasts.get().slice(-2), { id, content }]);
  setTimeout(() => dismiss(id), 8000);
}

function dismiss(id: number): void {
  toasts.set(toasts.get().filter((t) => t.id !== id));
}

export function Toasts() {
  const list = useStore(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {list.map((t) => (
        <div class="toast" key={t.id}>
          <div>{t.content}</div>
          <Button kind="quiet" icon="close" label="Dismiss" onClick={() => dismiss(t.id)} />
        </div>
      ))}
    </div>
  );
}
