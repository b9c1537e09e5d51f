// SPDX-License-Identifier: Apache-2.0
// The fleet at a glance; every number leads to those whom it counts.

import type { AgentSummary, AuditPage, Releases, RolloutPage } from "../types";
import { get } from "../lib/api";
import { type Item, attention } from "../lib/attention";
import { useNow } from "../lib/clock";
import { formatNumber } from "../lib/format";
import { useEvents, useReloadOn } from "../lib/live";
import { useResource } from "../lib/resource";
import { formatPlace } from "../lib/router";
import { can } from "../lib/session";
import { PHASES_ACTIVE, PHASES_FAILED } from "../lib/words";
import { AuditTable } from "../parts/audit-table";
import { Empty, Link, Page, ProblemNote, Section, Shown, Waiting } from "../parts/basics";
import { Glyph, type Tone } from "../parts/icon";
import { VersionBar } from "../parts/version-bar";
import { RolloutTable } from "./rollouts";

function sumOf(summary: AgentSummary, phases: string[]): number {
  return summary.updates.values.filter((v) => phases.includes(v.value)).reduce((n, v) => n + v.count, 0);
}

function Figures({ summary }: { summary: AgentSummary | undefined }) {
  const figures: { name: string; tone: Tone; count: number | undefined; to: string }[] = [
    { name: "Online", tone: "ok", count: summary?.states.online, to: "/agents?state=online" },
    { name: "Offline", tone: "off", count: summary?.states.offline, to: "/agents?state=offline" },
    {
      name: "Updating",
      tone: "busy",
      count: summary && sumOf(summary, PHASES_ACTIVE),
      to: formatPlace("/agents", { update: PHASES_ACTIVE.join(",") }),
    },
    {
      name: "Failed",
      tone: "bad",
      count: summary && sumOf(summary, PHASES_FAILED),
      to: formatPlace("/agents", { update: PHASES_FAILED.join(",") }),
    },
  ];
  return (
    <ul class="figures">
      {figures.map((f) => (
        <li key={f.name}>
          <Link to={f.to}>
            <span class="figure-name">
              <Glyph tone={f.tone} />
              {f.name}
            </span>
            <span class="figure">{f.count === undefined ? "–" : formatNumber(f.count)}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function Attention({ items }: { items: Item[] }) {
  if (items.length === 0) return <p class="muted calm">Nothing. All is well.</p>;
  return (
    <ul class="attention">
      {items.map((i) => (
        <li key={i.key}>
          <Glyph tone={i.tone} />
          <span>{i.text}</span>
          <Link to={i.to}>{i.action}</Link>
        </li>
      ))}
    </ul>
  );
}

export default function OverviewPage() {
  const now = useNow();
  const summary = useResource("summary", (signal) => get<AgentSummary>("/agents/summary", {}, signal));
  const rollouts = useResource("active", (signal) => get<RolloutPage>("/rollouts", { active: true, limit: 20 }, signal));
  const releases = useResource("releases", (signal) => get<Releases>("/releases", {}, signal));
  const mayAudit = can("audit.administer");
  const audit = useResource(mayAudit ? "audit" : undefined, (signal) => get<AuditPage>("/audit", { limit: 8 }, signal));

  useEvents((batch) => {
    const changed = new Map(batch.filter((e) => e.event === "rollout").map((e) => [e.data["id"], e.data]));
    if (changed.size === 0) return;
    rollouts.put((page) => ({ ...page, rollouts: page.rollouts.map((r) => ({ ...r, ...changed.get(r.id) })) }));
  });
  useReloadOn((e) => e.event === "agent" || e.event === "update", summary.reload, 2000);
  useReloadOn((e) => e.event === "rollout", rollouts.reload, 4000);
  useReloadOn((e) => e.event === "release" || (e.event === "update" && e.data["terminal"] === true), releases.reload, 10_000);
  useReloadOn((e) => e.event !== "agent" && e.event !== "update", audit.reload, 4000);

  const known = summary.data !== undefined && rollouts.data !== undefined && releases.data !== undefined;
  const s = summary.data;
  return (
    <Page title="Overview">
      {summary.problem && <ProblemNote problem={summary.problem} onRetry={summary.reload} />}
      <Figures summary={s} />
      <div class="columns overview">
        <Section title="Versions">
          {s && s.total === 0 ? (
            <Empty title="No agent has enrolled yet">
              <p>
                <Link to="/enrolment">Enrolment</Link> gives you a command to run on the first machine.
              </p>
            </Empty>
          ) : s ? (
            <VersionBar counted={s.versions} total={s.total} />
          ) : (
            <Waiting rows={4} />
          )}
        </Section>
        <Section title="What needs attention">
          {known ? <Attention items={attention(s, rollouts.data?.rollouts, releases.data, now)} /> : <Waiting rows={3} />}
        </Section>
      </div>
      <Section title="Active rollouts" aside={<Link to="/rollouts">All rollouts</Link>}>
        <Shown of={rollouts} rows={2}>
          {(page) => (page.rollouts.length > 0 ? <RolloutTable rollouts={page.rollouts} /> : <p class="muted calm">None just now.</p>)}
        </Shown>
      </Section>
      {mayAudit && (
        <Section title="Recent changes" aside={<Link to="/audit">Audit log</Link>}>
          <Shown of={audit} rows={4}>
            {(page) => <AuditTable entries={page.entries} brief />}
          </Shown>
        </Section>
      )}
    </Page>
  );
}
