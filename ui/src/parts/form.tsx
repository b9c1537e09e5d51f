// SPDX-License-Identifier: Apache-2.0
// Fields of forms: a name, a hint, and what is wrong, all tied to the input.

import type { ComponentChildren, InputHTMLAttributes } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
}

type InputProps = Common & {
  value: string;
  onValue: (value: string) => void;
  mono?: boolean;
  unit?: string;
  type?: "text" | "password" | "number" | "time";
  name?: string;
  autocomplete?: "off" | "username" | "current-password" | "new-password";
  placeholder?: string;
  autoFocus?: boolean;
  required?: boolean;
  disabled?: boolean;
  inputMode?: "numeric";
  list?: string;
};

function describe(id: string, hint: unknown, error: string | undefined): string | undefined {
  return [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ") || undefined;
}

function Around({ id, label, hint, error, children }: Common & { id: string; children: ComponentChildren }) {
  return (
    <div class={`field ${error ? "wrong" : ""}`}>
      <label for={id}>{label}</label>
      {children}
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

export function Input({ label, hint, error, value, onValue, mono, unit, ...rest }: InputProps) {
  const id = useId();
  const input = (
    <input
      autocomplete="off"
      spellcheck={false}
      {...(rest as InputHTMLAttributes<HTMLInputElement>)}
      id={id}
      class={mono ? "mono" : undefined}
      value={value}
      onInput={(e) => onValue(e.currentTarget.value)}
      aria-invalid={error ? true : undefined}
      aria-describedby={describe(id, hint, error)}
    />
  );
  return (
    <Around id={id} label={label} hint={hint} error={error}>
      {unit ? (
        <span class="with-unit">
          {input}
          <span class="unit">{unit}</span>
        </span>
      ) : (
        input
      )}
    </Around>
  );
}

export function Select({ label, hint, error, value, onValue, options, disabled }: Common & {
  value: string;
  onValue: (value: string) => void;
  options: { value: string; text: string }[];
  disabled?: boolean;
}) {
  const id = useId();
  return (
    <Around id={id} label={label} hint={hint} error={error}>
      <select
        id={id}
        value={value}
        disabled={disabled}
        onChange={(e) => onValue(e.currentTarget.value)}
        aria-describedby={describe(id, hint, error)}
      >
        {options.map((o) => (
          <option key={o.value} value={o.value}>
            {o.text}
          </option>
        ))}
      </select>
    </Around>
  );
}

export function Check({ label, hint, checked, onChecked, disabled }: {
  label: ComponentChildren;
  hint?: ComponentChildren;
  checked: boolean;
  onChecked: (checked: boolean) => void;
  disabled?: boolean;
}) {
  const id = useId();
  return (
    <div class="check">
      <input
        type="checkbox"
        id={id}
        checked={checked}
        disabled={disabled}
        onChange={(e) => onChecked(e.currentTarget.checked)}
        aria-describedby={hint ? `${id}-hint` : undefined}
      />
      <div>
        <label for={id}>{label}</label>
        {hint && (
          <p class="hint" id={`${id}-hint`}>
            {hint}
          </p>
        )}
      </div>
    </div>
  );
}

/** One of a few, all of which are seen. */
export function Choice<T extends string>({ legend, value, onValue, options }: {
  legend: string;
  value: T;
  onValue: (value: T) => void;
  options: { value: T; text: string; hint?: ComponentChildren; disabled?: boolean }[];
}) {
  const id = useId();
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      {options.map((o) => (
        <div class="check" key={o.value}>
          <input
            type="radio"
            name={id}
            id={`${id}-${o.value}`}
            value={o.value}
            checked={value === o.value}
            disabled={o.disabled}
            onChange={() => onValue(o.value)}
          />
          <div>
            <label for={`${id}-${o.value}`}>{o.text}</label>
            {o.hint && <p class="hint">{o.hint}</p>}
          </div>
        </div>
      ))}
    </fieldset>
  );
}
