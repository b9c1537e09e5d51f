// SPDX-License-Identifier: Apache-2.0
// All rollouts, the newest first.

import { useState } from "preact/hooks";
import type { Rollout, RolloutPage } from "../types";
import { get } from "../lib/api";
import { formatNumber, plural } from "../lib/format";
import { useEvents, useReloadOn } from "../lib/live";
import { useResource } from "../lib/resource";
import { changeQuery, navigate, usePlace } from "../lib/router";
import { can } from "../lib/session";
import { actorName, rolloutState } from "../lib/words";
import { Button, Empty, Link, Page, Shown, Time } from "../parts/basics";
import { Status } from "../parts/icon";
import { RolloutBar } from "../parts/progress-bar";
import { Whom } from "../parts/whom";

const LIMIT = 50;
const states = [
  { value: "", text: "All" },
  { value: "active", text: "Active" },
  { value: "paused", text: "Paused" },
  { value: "completed", text: "Completed" },
  { value: "aborted", text: "Aborted" },
];

export function RolloutTable({ rollouts }: { rollouts: Rollout[] }) {
  return (
    <div class="table-wrap">
      <table class="table rollouts">
        <thead>
          <tr>
            <th scope="col">Rollout</th>
            <th scope="col">Version</th>
            <th scope="col">For</th>
            <th scope="col">State</th>
            <th scope="col" class="wide-col">
              Progress
            </th>
            <th scope="col" class="end p2">
              Failures
            </th>
            <th scope="col" class="p3">
              By
            </th>
            <th scope="col" class="end p2">
              Begun
            </th>
          </tr>
        </thead>
        <tbody>
          {rollouts.map((r) => (
            <tr key={r.id}>
              <td>
                <Link to={`/rollouts/${r.id}`}>{r.kind === "rollback" ? `${r.id} back` : r.id}</Link>
              </td>
              <td>{r.kind === "rollback" ? `away from ${r.version}` : r.version}</td>
              <td class="target-cell" title={r.description ?? r.target_text}>
                {r.description ?? <Whom text={r.target_text} />}
              </td>
              <td title={r.reason_text}>
                <Status tone={rolloutState(r).tone}>{rolloutState(r).text}</Status>
              </td>
              <td class="wide-col">
                <span class="bar-cell">
                  <RolloutBar rollout={r} height={8} />
                  <span class="bar-text">
                    {formatNumber(r.counts.succeeded)} / {formatNumber(r.cohort)}
                  </span>
                </span>
              </td>
              <td class={`end p2 ${r.failures > 0 ? "tone-bad" : "muted"}`}>{formatNumber(r.failures)}</td>
              <td class="p3">{actorName(r.actor)}</td>
              <td class="end p2">
                <Time at={r.created} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export default function RolloutsPage() {
  const { query } = usePlace();
  const state = query.get("state") ?? "";
  const version = query.get("version") ?? "";
  const [limit, setLimit] = useState(LIMIT);
  const rollouts = useResource(`rollouts ${state} ${version} ${limit}`, (signal) =>
    get<RolloutPage>("/rollouts", { ...(state === "active" ? { active: true } : { state }), version, limit }, signal),
  );
  useEvents((batch) => {
    const changed = new Map(batch.filter((e) => e.event === "rollout").map((e) => [e.data["id"], e.data]));
    if (changed.size === 0) return;
    rollouts.put((page) => ({
      ...page,
      rollouts: page.rollouts.map((r) => (changed.has(r.id) ? { ...r, ...(changed.get(r.id) as unknown as Rollout) } : r)),
    }));
  });
  useReloadOn((e) => e.event === "rollout", rollouts.reload, 5000);

  return (
    <Page
      title="Rollouts"
      aside={
        can("rollouts.operate") && (
          <Button kind="primary" icon="enrolment" onClick={() => navigate("/rollouts/new")}>
            New rollout
          </Button>
        )
      }
    >
      <div class="tabs" role="group" aria-label="Which rollouts">
        {states.map((s) => (
          <Button key={s.value} pressed={state === s.value} onClick={() => changeQuery({ state: s.value || undefined })}>
            {s.text}
          </Button>
        ))}
        {version && (
          <Button icon="close" onClick={() => changeQuery({ version: undefined })}>
            Version {version}
          </Button>
        )}
      </div>
      <Shown of={rollouts} rows={6}>
        {(page) =>
          page.rollouts.length === 0 ? (
            <Empty title={state || version ? "No such rollout" : "No rollout yet"}>
              {can("rollouts.operate") && !state && !version ? (
                <p>
                  A rollout brings a version to many agents: a few canaries first, the rest in batches, and it stops by itself when a release
                  is bad. <Link to="/rollouts/new">Plan the first one</Link>, or select some <Link to="/agents">agents</Link> and update them.
                </p>
              ) : (
                <p>Rollouts bring a version to many agents, step by step.</p>
              )}
            </Empty>
          ) : (
            <>
              <RolloutTable rollouts={page.rollouts} />
              <p class="below muted">
                {page.rollouts.length < page.total ? (
                  <>
                    The newest {formatNumber(page.rollouts.length)} of {formatNumber(page.total)}.{" "}
                    <button type="button" class="text-button" onClick={() => setLimit(Math.min(1000, limit + 200))}>
                      Show more
                    </button>
                  </>
                ) : (
                  plural(page.total, "rollout")
                )}
              </p>
            </>
          )
        }
      </Shown>
    </Page>
  );
}
