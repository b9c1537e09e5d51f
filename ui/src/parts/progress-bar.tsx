// SPDX-License-Identifier: Apache-2.0
// Bars: how far a rollout is, which versions run, how near a limit is. Each has its numbers in words beside it.

import type { Rollout } from "../types";
import { formatNumber, formatShare } from "../lib/format";
import { type Gauge, progressParts } from "../lib/rollout-progress";
import { Link } from "./basics";

export interface Segment {
  key: string;
  share: number;
  className: string;
}

/** Segments side by side; what is something is seen, however small its share. */
export function StackedBar({ segments, label, height = 10 }: { segments: Segment[]; label: string; height?: number }) {
  const shown = segments.filter((s) => s.share > 0);
  const least = 0.004;
  const widths = shown.map((s) => Math.max(least, s.share));
  const total = widths.reduce((a, b) => a + b, 0) || 1;
  let x = 0;
  return (
    <svg class="stacked" width="100%" height={height} role="img" aria-label={label}>
      <rect width="100%" height="100%" class="seg-ground" />
      {shown.map((s, i) => {
        const from = x;
        const width = (widths[i] ?? 0) / Math.max(1, total);
        x += width;
        return <rect key={s.key} x={`${from * 100}%`} width={`${width * 100}%`} height="100%" class={s.className} />;
      })}
    </svg>
  );
}

export function RolloutBar({ rollout, height }: { rollout: Pick<Rollout, "counts" | "cohort">; height?: number }) {
  const parts = progressParts(rollout);
  const label = parts
    .filter((p) => p.count > 0)
    .map((p) => `${formatNumber(p.count)} ${p.text.toLowerCase()}`)
    .join(", ");
  return (
    <StackedBar
      label={label || "nobody takes part"}
      height={height ?? 10}
      segments={parts
        .filter((p) => p.tone !== "wait")
        .map((p) => ({ key: p.text, share: rollout.cohort > 0 ? p.count / rollout.cohort : 0, className: `seg-${p.tone}` }))}
    />
  );
}

export function RolloutLegend({ rollout, link }: { rollout: Pick<Rollout, "counts" | "cohort">; link: (state: string) => string }) {
  return (
    <ul class="legend">
      {progressParts(rollout)
        .filter((p) => p.count > 0 || ["succeeded", "in-flight", "pending"].includes(p.states[0] ?? ""))
        .map((p) => (
          <li key={p.text}>
            <span class={`swatch seg-${p.tone}`} aria-hidden="true" />
            <Link to={link(p.states[0] ?? "")}>
              <strong>{formatNumber(p.count)}</strong> {p.text}
            </Link>
            <span class="muted">{formatShare(p.count, rollout.cohort)}</span>
          </li>
        ))}
    </ul>
  );
}

/** How much of what may fail has failed. */
export function GaugeBar({ gauge }: { gauge: Gauge }) {
  const filled = Math.min(1, gauge.filled / 1.25);
  const tone = gauge.exceeded ? "bad" : gauge.filled >= 0.6 ? "warn" : "ok";
  return (
    <div class="gauge">
      <svg width="100%" height="18" role="img" aria-label={gauge.text}>
        <rect y="5" width="100%" height="8" rx="4" class="seg-ground" />
        <rect y="5" width={`${filled * 100}%`} height="8" rx="4" class={`gauge-${tone}`} />
        <line x1="80%" x2="80%" y1="0" y2="18" class="gauge-limit" />
      </svg>
      <p class={tone === "bad" ? "tone-bad" : ""}>{gauge.text}.</p>
    </div>
  );
}
