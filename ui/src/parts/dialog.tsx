// SPDX-License-Identifier: Apache-2.0
// Dialogs are the browser's own: focus stays inside, Escape closes, what had the focus gets it back.

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { formatNumber } from "../lib/format";
import type { Problem } from "../lib/problem";
import { Button, ProblemNote } from "./basics";

export function Dialog({ title, onClose, children, wide }: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  // at once, so that no key goes nowhere between the dialog and what is below it
  useLayoutEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? "wide" : undefined}
      aria-labelledby={id}
      onCancel={(e) => {
        e.preventDefault();
        onClose();
      }}
    >
      <div class="dialog-head">
        <h2 id={id}>{title}</h2>
        <Button kind="quiet" icon="close" label="Close" onClick={onClose} />
      </div>
      {children}
    </dialog>
  );
}

/** What is about to be done, and the two ways out of it. */
export function Confirm({ title, verb, danger, busy, problem, onConfirm, onClose, children, wide, blocked }: {
  title: string;
  verb: string;
  danger?: boolean;
  busy: boolean;
  problem?: Problem | undefined;
  onConfirm: () => void;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
  /** Nothing can be confirmed yet. */
  blocked?: boolean;
}) {
  return (
    <Dialog title={title} onClose={onClose} wide={wide ?? false}>
      <form
        class="dialog-form"
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          if (!busy && !blocked) onConfirm();
        }}
      >
        <div class="dialog-body">{children}</div>
        {problem && <ProblemNote problem={problem} />}
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind={danger ? "danger" : "primary"} busy={busy} disabled={blocked}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** For what concerns the whole fleet: the number must be written, so that nobody does it in passing. */
export function TypedCount({ count, value, onValue, wrong }: {
  count: number;
  value: string;
  onValue: (value: string) => void;
  wrong: boolean;
}) {
  const id = useId();
  return (
    <div class={`field ${wrong ? "wrong" : ""}`}>
      <label for={id}>
        This is for every agent of the gateway. Type <strong>{formatNumber(count)}</strong> to confirm.
      </label>
      <input
        id={id}
        type="text"
        inputMode="numeric"
        autocomplete="off"
        class="count-input"
        value={value}
        aria-invalid={wrong || undefined}
        aria-describedby={wrong ? `${id}-error` : undefined}
        onInput={(e) => onValue(e.currentTarget.value)}
      />
      {wrong && (
        <p class="error" id={`${id}-error`} role="alert">
          That is not the number of agents: type {formatNumber(count)}.
        </p>
      )}
    </div>
  );
}

export function isTypedCount(value: string, count: number): boolean {
  return value.replace(/[\s,.]/g, "") === String(count);
}
