// SPDX-License-Identifier: Apache-2.0
// One rollout: where it is, why it waits, when it will be done, what failed, and what can be done about it.

import { useCallback, useEffect, useReducer, useRef } from "preact/hooks";
import type { Rollout, RolloutMember, RolloutMemberPage, RolloutWhole, Strategy } from "../types";
import { get } from "../lib/api";
import { formatClock, formatNumber, formatSpan, formatTime, plural } from "../lib/format";
import { useNow } from "../lib/clock";
import { useEvents, useReloadOn } from "../lib/live";
import { PageCache } from "../lib/page-cache";
import { useResource } from "../lib/resource";
import { changeQuery, formatPlace, usePlace } from "../lib/router";
import { type Batch, batchName, batchStrip, describeStrip, failureGauge, waitsUntil } from "../lib/rollout-progress";
import { can } from "../lib/session";
import { describeBatches, describeCanaries, describeStop, isAtOnce } from "../lib/strategy";
import { MEMBER_STATES, actorName, memberState, phase, rolloutState } from "../lib/words";
import { Button, Empty, Fact, Facts, Link, Page, ProblemNote, Section, Shown, Time } from "../parts/basics";
import { Status } from "../parts/icon";
import { Menu } from "../parts/menu";
import { GaugeBar, RolloutBar, RolloutLegend } from "../parts/progress-bar";
import { RolloutVerbs } from "../parts/rollout-verbs";
import { type Column, VirtualTable } from "../parts/virtual-table";
import { Whom } from "../parts/whom";

function Eta({ rollout }: { rollout: RolloutWhole }) {
  const now = useNow();
  const p = rollout.preview;
  if (rollout.finished) {
    return (
      <>
        Ended <Time at={rollout.finished} />, after {formatSpan((Date.parse(rollout.finished) - Date.parse(rollout.created)) / 1000)}.
      </>
    );
  }
  if (rollout.state !== "running" || !p?.ends) return null;
  const ends = Date.parse(p.ends);
  return (
    <span title={formatTime(ends)}>
      Done at about {formatClock(ends, now)} (in {formatSpan((ends - now) / 1000)}) if all goes well
      {p.approvals && ", not counting waits for approval"}
      {p.approximate && ", roughly"}
      {p.waiting_offline > 0 && `; ${formatNumber(p.waiting_offline)} are offline and follow when they come back`}.
    </span>
  );
}

function Reason({ rollout }: { rollout: RolloutWhole }) {
  const now = useNow();
  const until = waitsUntil(rollout);
  return (
    <p class="reason">
      {rollout.reason_text} {rollout.reason_detail && <strong>{rollout.reason_detail}</strong>}
      {until && Date.parse(until) > now && ` Until ${formatClock(Date.parse(until), now)}, in ${formatSpan((Date.parse(until) - now) / 1000)}.`}
      {rollout.paused_since && (
        <>
          {" "}
          Paused <Time at={rollout.paused_since} />.
        </>
      )}
    </p>
  );
}

function BatchBlock({ batch, current }: { batch: Batch; current: boolean }) {
  const done = batch.agents > 0 ? batch.succeeded / batch.agents : 0;
  const bad = batch.agents > 0 ? batch.failed / batch.agents : 0;
  const flying = batch.agents > 0 ? batch.inFlight / batch.agents : 0;
  const parts = [
    plural(batch.agents, "agent"),
    batch.succeeded > 0 ? `${formatNumber(batch.succeeded)} succeeded` : "",
    batch.inFlight > 0 ? `${formatNumber(batch.inFlight)} updating` : "",
    batch.failed > 0 ? `${formatNumber(batch.failed)} failed` : "",
    batch.begins ? `begins ${formatTime(Date.parse(batch.begins), false)}` : "",
  ].filter(Boolean);
  const label = `${batchName(batch.batch)}: ${parts.join(", ")}`;
  const picture = (
    <svg width="100%" height="26" aria-hidden="true" class={batch.begins ? "coming" : ""}>
      <rect width="100%" height="26" class="seg-ground" />
      <rect y={26 - 26 * done} width="100%" height={26 * done} class="seg-ok" />
      <rect y={26 - 26 * (done + flying)} width="100%" height={26 * flying} class="seg-busy" />
      <rect y="0" width="100%" height={26 * bad} class="seg-bad" />
    </svg>
  );
  return (
    <li class={`${batch.batch === 0 ? "canaries" : ""} ${current ? "current" : ""}`}>
      {batch.begins ? (
        <span title={label}>
          {picture}
          <span class="visually-hidden">{label}</span>
        </span>
      ) : (
        <Link to={formatPlace(location.pathname, { batch: String(batch.batch) })} title={label} aria-label={label}>
          {picture}
        </Link>
      )}
    </li>
  );
}

function Batches({ rollout }: { rollout: RolloutWhole }) {
  const strip = batchStrip(rollout);
  if (strip.length < 2 && (!rollout.strategy || isAtOnce(rollout.strategy))) return null;
  return (
    <div>
      <ol class="strip" aria-label="Batches">
        {strip.map((b) => (
          <BatchBlock key={b.batch} batch={b} current={!rollout.terminal && b.batch === rollout.batch} />
        ))}
      </ol>
      <p class="muted strip-text">
        {describeStrip(rollout, strip)}
      </p>
    </div>
  );
}

function Causes({ rollout }: { rollout: RolloutWhole }) {
  const causes = [...rollout.causes].sort((a, b) => b.count - a.count);
  return (
    <div class="table-wrap">
      <table class="table">
        <thead>
          <tr>
            <th scope="col" class="end">
              Agents
            </th>
            <th scope="col">How it ended</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {causes.map((c) => (
            <tr key={`${c.state} ${c.reason}`}>
              <td class="end">
                <Link to={formatPlace(location.pathname, { member: c.state, reason: c.reason })}>{formatNumber(c.count)}</Link>
              </td>
              <td>
                <Status tone={memberState(c.state).tone}>{memberState(c.state).text}</Status>
              </td>
              <td class="wrap">{c.reason_text ?? <span class="muted">The machine did not say.</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function StrategyFacts({ strategy: s, rollout }: { strategy: Strategy; rollout: RolloutWhole }) {
  return (
    <Facts>
      <Fact name="For">
        <Whom text={rollout.target_text} />
      </Fact>
      <Fact name="Canaries">{describeCanaries(s)}</Fact>
      <Fact name="Batches">{describeBatches(s)}</Fact>
      {s.max_in_flight !== undefined && <Fact name="At the same time">At most {formatNumber(s.max_in_flight)}.</Fact>}
      <Fact name="Stop">{describeStop(s)}</Fact>
      <Fact name="Offline">
        {s.offline === "skip" ? "Left out." : `Updated when they come back; waited for ${formatSpan(s.offline_wait_sec ?? 0)} after all others.`}
      </Fact>
      {(s.windows?.length ?? 0) > 0 && (
        <Fact name="Windows">
          {s.windows?.map((w) => (
            <div key={`${w.days.join()} ${w.start}`}>
              {w.days.join(", ")} from {w.start} for {formatSpan(w.duration_sec)} ({w.time_zone})
            </div>
          ))}
        </Fact>
      )}
      {s.include_new_agents && <Fact name="New agents">Those that come later take part.</Fact>}
      {s.set_desired && <Fact name="At the end">{rollout.version} becomes what the target shall run.</Fact>}
      {s.emergency && <Fact name="Emergency">No windows, no watching, no approvals.</Fact>}
      <Fact name="Begun by">
        {actorName(rollout.actor)}, <Time at={rollout.created} />
      </Fact>
    </Facts>
  );
}

const memberColumns: Column<RolloutMember>[] = [
  { key: "host", title: "Host", render: (m) => <Link to={`/agents/${m.agent}`}>{m.hostname ?? m.agent.slice(0, 8)}</Link> },
  {
    key: "state",
    title: "State",
    width: "150px",
    render: (m) =>
      m.state === "in-flight" && m.phase ? (
        <Status tone={phase(m.phase).tone}>{phase(m.phase).text}</Status>
      ) : (
        <Status tone={memberState(m.state).tone}>{memberState(m.state).text}</Status>
      ),
  },
  {
    key: "batch",
    title: "Batch",
    width: "90px",
    priority: 2,
    render: (m) => (m.canary ? "Canary" : m.batch === undefined ? <span class="muted">–</span> : formatNumber(m.batch)),
  },
  {
    key: "reason",
    title: "Why",
    width: "34%",
    priority: 2,
    render: (m) => <span title={m.reason_text}>{m.reason_text ?? ""}</span>,
  },
  { key: "version", title: "Runs", width: "90px", priority: 3, render: (m) => m.version ?? <span class="muted">–</span> },
  {
    key: "system",
    title: "System",
    width: "124px",
    priority: 4,
    render: (m) => m.os ?? <span class="muted">–</span>,
  },
  { key: "updated", title: "Changed", width: "96px", priority: 3, align: "end", render: (m) => <Time at={m.updated} /> },
];

function Members({ rollout }: { rollout: RolloutWhole }) {
  const { query } = usePlace();
  const state = query.get("member") ?? "";
  const reason = query.get("reason") ?? "";
  const batch = query.get("batch") ?? "";
  const [, render] = useReducer<number, undefined>((n) => n + 1, 0);
  const cache = useRef<{ key: string; rows: PageCache<RolloutMember> } | undefined>(undefined);
  const key = `${rollout.id} ${state} ${reason} ${batch}`;
  if (cache.current?.key !== key) {
    cache.current?.rows.dispose();
    cache.current = {
      key,
      rows: new PageCache<RolloutMember>(
        200,
        async (offset, limit, signal) => {
          const page = await get<RolloutMemberPage>(`/rollouts/${rollout.id}/members`, { state, reason, batch, offset, limit }, signal);
          return { rows: page.members, total: page.total };
        },
        () => render(undefined),
      ),
    };
  }
  const { rows } = cache.current;
  useEffect(() => rows.look(0, 30), [rows]);
  useEffect(() => () => cache.current?.rows.dispose(), []);
  useReloadOn((e) => e.event === "rollout" || e.event === "update", () => rows.refresh(), 3000);
  const look = useCallback((first: number, last: number) => rows.look(first, last), [rows]);
  const filtered = state !== "" || reason !== "" || batch !== "";
  // who follows a number up there wants to see them
  const section = useRef<HTMLDivElement>(null);
  const shownFor = useRef(key);
  useEffect(() => {
    if (shownFor.current !== key && filtered) section.current?.scrollIntoView({ block: "nearest" });
    shownFor.current = key;
  }, [key]);

  return (
    <div ref={section}>
    <Section
      title="Agents"
      aside={
        <div class="row">
          <span class="muted" role="status">
            {rows.total === undefined ? "Loading…" : plural(rows.total, "agent")}
          </span>
          <Menu label={state ? `State: ${memberState(state).text}` : "State"} active={state !== ""} align="end">
            {(close) => (
              <ul class="options">
                {MEMBER_STATES.map((s) => (
                  <li key={s}>
                    <label>
                      <input
                        type="radio"
                        name="member-state"
                        checked={state === s}
                        onChange={() => {
                          changeQuery({ member: s, reason: undefined });
                          close();
                        }}
                      />
                      <span class="option-name">{memberState(s).text}</span>
                      <span class="option-count">{formatNumber(rollout.counts[s])}</span>
                    </label>
                  </li>
                ))}
              </ul>
            )}
          </Menu>
          {batch !== "" && (
            <Button icon="close" onClick={() => changeQuery({ batch: undefined })}>
              {batchName(Number(batch))}
            </Button>
          )}
          {filtered && (
            <Button kind="quiet" onClick={() => changeQuery({ member: undefined, reason: undefined, batch: undefined })}>
              Show all
            </Button>
          )}
        </div>
      }
    >
      {rows.problem && <ProblemNote problem={rows.problem} onRetry={() => rows.refresh()} />}
      <div class="members">
        <VirtualTable
          label="Agents of the rollout"
          columns={memberColumns}
          total={rows.total ?? 0}
          rowAt={(i) => rows.at(i)}
          rowKey={(m) => m.agent}
          onLook={look}
          empty={rows.total === 0 && <Empty title={filtered ? "No agent of this rollout is so" : "Nobody takes part"} />}
        />
      </div>
    </Section>
    </div>
  );
}

export default function RolloutPage({ id }: { id: string }) {
  const rollout = useResource(`rollout ${id}`, (signal) => get<RolloutWhole>(`/rollouts/${id}`, {}, signal));
  useEvents((batch) => {
    for (const e of batch) {
      if (e.event === "rollout" && String(e.data["id"]) === id) rollout.put((r) => ({ ...r, ...(e.data as unknown as Rollout) }));
    }
  });
  // batches, causes and the schedule come with the whole; large ones are not asked for too often
  const interval = (rollout.data?.cohort ?? 0) > 5000 ? 10_000 : 2500;
  useReloadOn((e) => e.event === "rollout" && String(e.data["id"]) === id, rollout.reload, interval);

  const r = rollout.data;
  const state = r && rolloutState(r);
  return (
    <Page
      title={`Rollout ${id}`}
      heading={
        <span class="heading">
          Rollout {id}
          {r && <span class="heading-more">{r.kind === "rollback" ? `back from ${r.version}` : r.version}</span>}
          {state && <Status tone={state.tone}>{state.text}</Status>}
        </span>
      }
    >
      <Shown of={rollout} rows={8}>
        {(r) => (
          <>
            {r.description && <p class="page-sub">{r.description}</p>}
            {r.parent !== undefined && (
              <p class="page-sub">
                Takes back <Link to={`/rollouts/${r.parent}`}>rollout {r.parent}</Link>.
              </p>
            )}
            <div class={`action-bar ${state?.tone ?? ""}`}>
              <div class="action-text">
                <Reason rollout={r} />
                <p class="muted">
                  <Eta rollout={r} />
                </p>
              </div>
              {can("rollouts.operate") && <RolloutVerbs rollout={r} onDone={rollout.reload} />}
            </div>
            <Section title="Progress">
              <RolloutBar rollout={r} height={16} />
              <RolloutLegend rollout={r} link={(s) => formatPlace(`/rollouts/${r.id}`, { member: s })} />
              <Batches rollout={r} />
            </Section>
            <div class="columns">
              <Section title="Failures">
                {r.strategy && <GaugeBar gauge={failureGauge(r, r.strategy)} />}
                {r.causes.length > 0 && <Causes rollout={r} />}
              </Section>
              <Section title="Strategy">
                {r.strategy ? <StrategyFacts strategy={r.strategy} rollout={r} /> : <p class="muted">What the gateway has kept of it is damaged.</p>}
              </Section>
            </div>
            <Members rollout={r} />
          </>
        )}
      </Shown>
    </Page>
  );
}
