// SPDX-License-Identifier: Apache-2.0
// Small parts of every page.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useNow } from "../lib/clock";
import { formatRelative, formatTime } from "../lib/format";
import type { Problem } from "../lib/problem";
import { navigate } from "../lib/router";
import { Icon, type IconName } from "./icon";

type Children = { children?: ComponentChildren };

function isPlainClick(e: MouseEvent): boolean {
  return e.button === 0 && !e.metaKey && !e.ctrlKey && !e.shiftKey && !e.altKey && !e.defaultPrevented;
}

interface LinkProps extends Children {
  to: string;
  class?: string;
  title?: string | undefined;
  "aria-current"?: "page" | undefined;
  "aria-label"?: string;
}

export function Link({ to, children, ...rest }: LinkProps) {
  return (
    <a
      {...rest}
      href={to}
      onClick={(e) => {
        if (!isPlainClick(e)) return;
        e.preventDefault();
        navigate(to);
      }}
    >
      {children}
    </a>
  );
}

interface ButtonProps extends Children {
  kind?: "primary" | "danger" | "quiet" | undefined;
  icon?: IconName;
  onClick?: () => void;
  disabled?: boolean | undefined;
  /** Why it is disabled, or what it does. */
  title?: string | undefined;
  label?: string | undefined;
  busy?: boolean | undefined;
  type?: "button" | "submit";
  form?: string;
  pressed?: boolean;
}

export function Button({ kind, icon, children, onClick, disabled, title, label, busy, type, form, pressed }: ButtonProps) {
  return (
    <button
      type={type ?? "button"}
      class={`button ${kind ?? ""} ${children ? "" : "bare"}`}
      onClick={onClick}
      disabled={disabled || busy}
      title={title}
      form={form}
      aria-label={label}
      aria-busy={busy || undefined}
      aria-pressed={pressed}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** How long ago; the whole time when it is pointed at. */
export function Time({ at, future }: { at: string | undefined; future?: boolean }) {
  const now = useNow();
  if (!at) return <span class="muted">–</span>;
  const t = Date.parse(at);
  // clocks differ a little: what has happened is not in the future
  const shown = future ? t : Math.min(t, now);
  return (
    <time dateTime={at} title={`${formatTime(t)} (${at})`}>
      {formatRelative(shown, now)}
    </time>
  );
}

export function Mono({ children, title }: Children & { title?: string }) {
  return (
    <span class="mono" title={title}>
      {children}
    </span>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <button
      type="button"
      class="button quiet bare copy"
      aria-label={done ? `${label}: copied` : label}
      title={label}
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => {
          setDone(true);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => setDone(false), 1500);
        });
      }}
    >
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}

/** Name and value of one thing after another. */
export function Facts({ children }: Children) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: Children & { name: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

export function Labels({ labels }: { labels: { [key: string]: string } | undefined }) {
  const pairs = Object.entries(labels ?? {});
  if (pairs.length === 0) return <span class="muted">none</span>;
  return (
    <ul class="labels">
      {pairs.map(([k, v]) => (
        <li key={k}>
          {k}={v}
        </li>
      ))}
    </ul>
  );
}

/** A page of its own: the heading takes the focus when it is come to, so that a screen reader says where one is. */
export function Page({ title, heading, aside, children }: Children & {
  title: string;
  heading?: ComponentChildren;
  aside?: ComponentChildren;
}) {
  const ref = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} – Fleet`;
  }, [title]);
  useEffect(() => {
    // unless a field of the page was what one came for
    if (!document.activeElement?.matches("main input")) ref.current?.focus({ preventScroll: true });
  }, []);
  return (
    <>
      <header class="page-head">
        <h1 ref={ref} tabIndex={-1}>
          {heading ?? title}
        </h1>
        {aside && <div class="page-actions">{aside}</div>}
      </header>
      {children}
    </>
  );
}

export function Section({ title, aside, children, id }: Children & { title: string; aside?: ComponentChildren; id?: string }) {
  const own = useId();
  const label = id ?? own;
  return (
    <section class="section" aria-labelledby={label}>
      <div class="section-head">
        <h2 id={label}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

export function Empty({ title, children }: Children & { title: string }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

export function ProblemNote({ problem, onRetry }: { problem: Problem; onRetry?: () => void }) {
  return (
    <div class="note bad" role="alert">
      <Icon name="warning" />
      <div>
        <p>
          <strong>{problem.title}.</strong> {problem.message}
        </p>
        {problem.body.request_id && problem.status >= 500 && (
          <p class="muted">
            Request <span class="mono">{problem.body.request_id}</span>
          </p>
        )}
      </div>
      {onRetry && <Button onClick={onRetry}>Try again</Button>}
    </div>
  );
}

export function Note({ tone, children }: Children & { tone: "info" | "warn" | "bad" | "ok" }) {
  return (
    <div class={`note ${tone}`}>
      <div>{children}</div>
    </div>
  );
}

/** Keeps the room of what is not there yet. */
export function Waiting({ rows = 3 }: { rows?: number }) {
  return (
    <div class="waiting" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => (
        <div key={i} class="bone" />
      ))}
    </div>
  );
}

/** Shows what a resource has: its room, its problem, or its content. */
export function Shown<T>({ of, rows, children }: {
  of: { data: T | undefined; problem: Problem | undefined; reload: () => void };
  rows?: number;
  children: (data: T) => ComponentChildren;
}) {
  return (
    <>
      {of.problem && <ProblemNote problem={of.problem} onRetry={of.reload} />}
      {of.data !== undefined ? children(of.data) : !of.problem && <Waiting rows={rows ?? 3} />}
    </>
  );
}
