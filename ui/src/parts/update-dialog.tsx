// SPDX-License-Identifier: Apache-2.0
// From a selection of agents to a rollout: how many, which version, how; and who does not take part.

import { useState } from "preact/hooks";
import type { Releases, Rollout, RolloutPlan } from "../types";
import { describeFilter, describeTarget } from "../lib/agent-filter";
import { get, request } from "../lib/api";
import { formatClock, formatNumber, plural } from "../lib/format";
import { useAction, useResource } from "../lib/resource";
import { navigate } from "../lib/router";
import { atOnce, describeBatches, describeCanaries, describeStop } from "../lib/strategy";
import { type Selection, resolveSelection } from "../lib/targets";
import { keepTarget } from "../lib/kept-target";
import { Note, ProblemNote, Shown, Waiting } from "./basics";
import { Confirm, TypedCount, isTypedCount } from "./dialog";
import { Excluded } from "./excluded";
import { Choice, Select } from "./form";

type How = "at-once" | "steps";
const FEW = 20;

export function UpdateDialog({ selection, latest, onClose }: { selection: Selection; latest: boolean; onClose: () => void }) {
  const [turn, setTurn] = useState(0);
  const resolved = useResource(`target ${turn}`, (signal) => resolveSelection(selection, signal));
  const releases = useResource("releases", (signal) => get<Releases>("/releases", {}, signal));
  const [chosen, setChosen] = useState("");
  const [how, setHow] = useState<How>();
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState(false);
  const [key] = useState(() => crypto.randomUUID());
  const action = useAction();

  const target = resolved.data;
  const version = chosen || releases.data?.releases[0]?.version || "";
  const count = target?.count ?? 0;
  const manner: How = how ?? (count <= FEW ? "at-once" : "steps");
  const strategy = manner === "at-once" ? atOnce(count) : {};
  const ready = target !== undefined && version !== "";
  const body = ready && {
    version,
    target: target.target,
    strategy,
    expected_count: target.count,
    expected_digest: target.digest,
  };
  const plan = useResource(ready ? `plan ${target.digest} ${version} ${manner}` : undefined, async (signal) => {
    const { data } = await request<RolloutPlan>("POST", "/rollouts", { body: { ...body, dry_run: true }, signal });
    return data;
  });
  const everybody = target?.target.all === true;
  const cohort = plan.data && !plan.outdated ? plan.data.cohort : undefined;

  const start = () => {
    if (everybody && !isTypedCount(typed, count)) {
      setWrong(true);
      return;
    }
    void action.run(async () => {
      const { data } = await request<Rollout>("POST", "/rollouts", { body, idempotencyKey: key });
      onClose();
      navigate(`/rollouts/${data.id}`);
    });
  };
  const verb = cohort === undefined ? "Update" : `Update ${plural(cohort, "agent")} to ${version}`;
  const conflict = action.problem?.kind === "conflict";

  return (
    <Confirm
      title={latest ? "Upgrade to the latest release" : "Set the version"}
      verb={verb}
      busy={action.busy}
      problem={action.problem}
      blocked={!ready || !plan.data || plan.outdated || cohort === 0}
      onConfirm={start}
      onClose={onClose}
      wide
    >
      <Shown
        of={{
          ...resolved,
          reload: () => setTurn(turn + 1),
        }}
        rows={1}
      >
        {(t) => (
          <p class="lead">
            <strong>{plural(t.count, "agent")}</strong>{" "}
            {selection.kind === "ids"
              ? "that you selected"
              : everybody
                ? "– the whole fleet"
                : `– ${describeFilter(selection.filter)}`}
          </p>
        )}
      </Shown>
      {conflict && (
        <Note tone="warn">
          The agents that match have changed since you looked.{" "}
          <button type="button" class="text-button" onClick={() => (action.clear(), setTurn(turn + 1))}>
            Look again
          </button>
        </Note>
      )}
      {target?.snapshot && (
        <Note tone="info">A filter by state, update or name is no rule: this goes to exactly these agents, not to others that match later.</Note>
      )}
      <Shown of={releases} rows={1}>
        {({ releases: list }) =>
          list.length === 0 ? (
            <Note tone="warn">No release has been imported yet, so there is nothing to update to.</Note>
          ) : (
            <Select
              label="Version"
              value={version}
              onValue={setChosen}
              options={list.map((r, i) => ({ value: r.version, text: i === 0 ? `${r.version} (latest)` : r.version }))}
            />
          )
        }
      </Shown>
      <Choice<How>
        legend="How"
        value={manner}
        onValue={setHow}
        options={[
          { value: "at-once", text: "All at once", hint: `At most ${atOnce(count).max_in_flight} at the same time. ${describeStop(atOnce(count))}` },
          {
            value: "steps",
            text: "Step by step",
            hint:
              plan.data && !plan.outdated && manner === "steps"
                ? `${describeCanaries(plan.data.strategy)} ${describeBatches(plan.data.strategy)} ${describeStop(plan.data.strategy)}`
                : "Canaries first, then in batches, as the gateway does by default.",
          },
        ]}
      />
      {target && (
        <p>
          <button
            type="button"
            class="text-button"
            onClick={() => {
              onClose();
              navigate(`/rollouts/new?${keepTarget(target.target)}&version=${encodeURIComponent(version)}`);
            }}
          >
            Plan it in detail…
          </button>
        </p>
      )}
      <div class="plan-room">
        {plan.problem ? (
          <ProblemNote problem={plan.problem} onRetry={plan.reload} />
        ) : plan.data ? (
          <div class={plan.outdated ? "stale" : ""}>
            <p>
              {plan.data.cohort === 0
                ? "Nobody takes part: see why below."
                : `${formatNumber(plan.data.cohort)} of ${formatNumber(plan.data.matched)} take part`}
              {plan.data.cohort > 0 && plan.data.preview.ends && `; done at about ${formatClock(Date.parse(plan.data.preview.ends), Date.now())} if all goes well`}
              {plan.data.preview.waiting_offline > 0 && `; ${formatNumber(plan.data.preview.waiting_offline)} are offline and follow when they come back`}.
            </p>
            <Excluded plan={plan.data} />
          </div>
        ) : (
          ready && <Waiting rows={2} />
        )}
      </div>
      {everybody && (
        <TypedCount
          count={count}
          value={typed}
          wrong={wrong}
          onValue={(v) => {
            setTyped(v);
            setWrong(false);
          }}
        />
      )}
      {target && <p class="hint">Sent as: {describeTarget(target.target)}, digest {target.digest.slice(0, 12)}.</p>}
    </Confirm>
  );
}
