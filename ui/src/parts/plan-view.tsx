// SPDX-License-Identifier: Apache-2.0
// What a rollout would do: how many, who is left out, who goes first, and when what would happen.

import type { RolloutPlan } from "../types";
import { formatClock, formatNumber, formatSpan, formatTime, plural } from "../lib/format";
import { batchName } from "../lib/rollout-progress";
import { Note } from "./basics";
import { Excluded } from "./excluded";

const CANARIES_SHOWN = 12;

/** How many have begun, over time. */
function Schedule({ plan, now }: { plan: RolloutPlan; now: number }) {
  const { batches, ends } = plan.preview;
  if (batches.length === 0 || !ends) return null;
  const end = Math.max(Date.parse(ends), now + 1000);
  const x = (t: number) => ((t - now) / (end - now)) * 100;
  let sum = 0;
  const steps = batches.map((b) => {
    const before = sum;
    sum += b.agents;
    return { from: x(Math.max(now, Date.parse(b.begins))), before, after: sum };
  });
  const most = Math.max(1, sum);
  const y = (n: number) => 60 - (n / most) * 56;
  const line = steps.map((s) => `L ${s.from} ${y(s.before)} L ${s.from} ${y(s.after)}`).join(" ");
  return (
    <figure class="schedule">
      <svg width="100%" height="64" viewBox="0 0 100 64" preserveAspectRatio="none" role="img" aria-label={`${plural(sum, "agent")} begun by ${formatTime(end, false)}, in ${plural(plan.preview.batches_total, "step")}`}>
        <path d={`M 0 60 ${line} L 100 ${y(sum)} L 100 60 Z`} class="schedule-area" />
        <path d={`M 0 60 ${line} L 100 ${y(sum)}`} class="schedule-line" vector-effect="non-scaling-stroke" />
      </svg>
      <figcaption>
        <span>now</span>
        <span>{formatClock(end, now)}</span>
      </figcaption>
    </figure>
  );
}

function BatchTable({ plan, now }: { plan: RolloutPlan; now: number }) {
  const all = plan.preview.batches;
  const shown = all.length <= 6 ? all : [...all.slice(0, 4), ...all.slice(-1)];
  return (
    <table class="table small">
      <thead>
        <tr>
          <th scope="col">Step</th>
          <th scope="col" class="end">
            Agents
          </th>
          <th scope="col" class="end">
            Begins
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((b, i) => (
          <tr key={b.batch}>
            <td>
              {i === 4 && all.length > 6 ? "… " : ""}
              {batchName(b.batch)}
            </td>
            <td class="end">{formatNumber(b.agents)}</td>
            <td class="end">{Date.parse(b.begins) - now < 2000 ? "at once" : `after ${formatSpan((Date.parse(b.begins) - now) / 1000)}`}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function PlanView({ plan, stale }: { plan: RolloutPlan; stale: boolean }) {
  const now = Date.now();
  const p = plan.preview;
  const canaries = plan.canaries.slice(0, CANARIES_SHOWN);
  return (
    <div class={`plan ${stale ? "stale" : ""}`}>
      <p class="plan-count">
        <strong>{formatNumber(plan.cohort)}</strong> of {plural(plan.matched, "matching agent")} {plan.cohort === 1 ? "takes" : "take"} part
      </p>
      {plan.cohort === 0 && <Note tone="warn">Nobody would be updated.</Note>}
      <Excluded plan={plan} />
      {canaries.length > 0 && (
        <div>
          <h3>Canaries, drawn across systems and kernels</h3>
          <ul class="labels">
            {canaries.map((c) => (
              <li key={c.agent} title={[c.os, c.kernel, c.arch].filter(Boolean).join(", ")}>
                {c.hostname ?? c.agent.slice(0, 8)}
              </li>
            ))}
            {plan.canaries.length > canaries.length && <li>+{plan.canaries.length - canaries.length}</li>}
          </ul>
        </div>
      )}
      {plan.cohort > 0 && p.ends && (
        <div>
          <h3>Schedule</h3>
          <p>
            {plural(p.batches_total, "step")}; done at about <strong>{formatClock(Date.parse(p.ends), now)}</strong>, in{" "}
            {formatSpan((Date.parse(p.ends) - now) / 1000)}
            {p.approximate && ", roughly"}, if every update succeeds and takes {formatSpan(plan.update_takes_sec)}
            {p.approvals && ". Waits for approval come on top"}
            {p.waiting_offline > 0 && `. ${plural(p.waiting_offline, "agent")} ${p.waiting_offline === 1 ? "is" : "are"} offline and not counted`}.
          </p>
          <Schedule plan={plan} now={now} />
          <BatchTable plan={plan} now={now} />
        </div>
      )}
    </div>
  );
}
