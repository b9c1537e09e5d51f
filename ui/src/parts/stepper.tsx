// SPDX-License-Identifier: Apache-2.0
// One update, step by step, as it happens.

import type { Durations, Update } from "../types";
import { useNow } from "../lib/clock";
import { formatBytes, formatMilliseconds } from "../lib/format";
import { type Step, readSteps } from "../lib/steps";
import { Note } from "./basics";
import { Icon } from "./icon";

const spoken = { done: "done", now: "now", failed: "failed here", coming: "to come" } as const;

function Mark({ state }: { state: Step["state"] }) {
  return (
    <span class={`step-mark ${state}`}>
      {state === "done" && <Icon name="check" size={12} />}
      {state === "failed" && <Icon name="close" size={12} />}
      {state === "now" && <span class="step-dot" />}
    </span>
  );
}

function Download({ update }: { update: Update }) {
  const { bytes_done: done, bytes_total: total } = update;
  if (update.phase !== "downloading" || total === undefined) return null;
  const percent = total > 0 ? Math.floor(((done ?? 0) / total) * 100) : 0;
  return (
    <div class="download">
      <progress max={total} value={done ?? 0} aria-label="Downloaded" />
      <span>
        {formatBytes(done ?? 0)} of {formatBytes(total)}, {percent} %
      </span>
    </div>
  );
}

export function Stepper({ update, durations }: { update: Update; durations: Durations | undefined }) {
  const now = useNow();
  const steps = readSteps(update, durations, now);
  const current = steps.find((s) => s.state === "now");
  return (
    <div class="stepper-block">
      <ol class="stepper" aria-label={`Update to ${update.version}`}>
        {steps.map((s, i) => (
          <li key={s.title} class={`step ${s.state}`} aria-current={s.state === "now" ? "step" : undefined}>
            <Mark state={s.state} />
            <span class="step-title">
              {s.title}
              <span class="visually-hidden">, {spoken[s.state]}</span>
            </span>
            <span class="step-took">
              {s.took === undefined ? "\u00a0" : i === steps.length - 1 ? `after ${formatMilliseconds(s.took)}` : formatMilliseconds(s.took)}
            </span>
            <span class="step-median">{s.median === undefined ? "\u00a0" : `fleet: ${formatMilliseconds(s.median)}`}</span>
          </li>
        ))}
      </ol>
      <div class="step-detail">
        <Download update={update} />
        {!update.terminal && update.phase !== "downloading" && <p class="muted">{current?.detail}.</p>}
        {update.terminal && update.phase !== "succeeded" && update.verdict_text && (
          <Note tone={update.phase === "cancelled" ? "info" : "bad"}>
            <strong>{update.verdict_text}</strong> {update.message}
          </Note>
        )}
      </div>
    </div>
  );
}
