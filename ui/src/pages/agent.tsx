// SPDX-License-Identifier: Apache-2.0
// One agent: what it is, what it runs and shall run, how its update goes, and how those before went.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Agent, Durations, Update } from "../types";
import { get, request } from "../lib/api";
import { formatMilliseconds, shortId } from "../lib/format";
import { useEvents, useReloadOn } from "../lib/live";
import { useAction, useResource } from "../lib/resource";
import { navigate } from "../lib/router";
import { can } from "../lib/session";
import { mergeUpdate, tookInAll } from "../lib/steps";
import { agentState, phase } from "../lib/words";
import { AgentLabelsDialog } from "../parts/agent-labels-dialog";
import { Button, Copy, Empty, Fact, Facts, Labels, Link, Mono, Note, Page, Section, Shown, Time } from "../parts/basics";
import { Confirm } from "../parts/dialog";
import { Status } from "../parts/icon";
import { Stepper } from "../parts/stepper";
import { UpdateDialog } from "../parts/update-dialog";
import { toast } from "../parts/toast";

function Notes({ agent }: { agent: Agent }) {
  return (
    <>
      {agent.clone_suspected && (
        <Note tone="bad">
          <strong>Two machines seem to use this id in turn.</strong> One was probably cloned from the other. Give the clone an identity of
          its own: remove /var/lib/fleet-agent on it, and enrol it anew.
        </Note>
      )}
      {agent.pinned && (
        <Note tone="warn">
          The machine's owner holds it at {agent.pinned_version ?? "its version"}. It takes no updates until <code>fleet-agentctl unpin</code>{" "}
          is run there.
        </Note>
      )}
      {agent.metadata_expires && Date.parse(agent.metadata_expires) < Date.now() && (
        <Note tone="warn">
          The signed metadata that the machine holds has expired <Time at={agent.metadata_expires} />: it takes no updates until it has newer ones.
        </Note>
      )}
    </>
  );
}

function Wanted({ agent }: { agent: Agent }) {
  const d = agent.desired;
  const by: ComponentChildren =
    d?.by === "rollout" ? (
      <>
        by <Link to={`/rollouts/${d.id}`}>rollout {d.id}</Link>
      </>
    ) : d?.by === "all" ? (
      "for all agents"
    ) : d?.by === "selector" ? (
      "by a selector"
    ) : (
      "for this agent"
    );
  return (
    <>
      {d ? (
        <>
          {d.version} {by}
        </>
      ) : (
        (agent.reason_text ?? "Nothing in particular")
      )}
      {d && agent.reason_text && <p class="muted">{agent.reason_text}</p>}
      {agent.next_attempt && (
        <p class="muted">
          Next attempt <Time at={agent.next_attempt} future />.
        </p>
      )}
    </>
  );
}

function took(u: Update): string {
  const ms = tookInAll(u);
  return ms === undefined ? "" : formatMilliseconds(ms);
}

function History({ updates }: { updates: Update[] }) {
  if (updates.length === 0) {
    return (
      <Empty title="No update yet">
        <p>It runs what it was installed with.</p>
      </Empty>
    );
  }
  return (
    <div class="table-wrap">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Begun</th>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">End</th>
            <th scope="col" class="p2">
              Why
            </th>
            <th scope="col" class="end">
              Took
            </th>
            <th scope="col" class="p2">
              By
            </th>
          </tr>
        </thead>
        <tbody>
          {updates.map((u) => (
            <tr key={u.id}>
              <td>
                <Time at={u.created} />
              </td>
              <td>{u.from_version ?? "–"}</td>
              <td>{u.version}</td>
              <td>
                <Status tone={phase(u.phase).tone}>{phase(u.phase).text}</Status>
              </td>
              <td class="p2 wrap">
                {u.verdict_text}
                {u.failed_phase && u.terminal && <span class="muted"> While {phase(u.failed_phase).text.toLowerCase()}.</span>}
              </td>
              <td class="end">{took(u)}</td>
              <td class="p2">
                {u.rollout ? <Link to={`/rollouts/${u.rollout}`}>rollout {u.rollout}</Link> : <span class="muted">desired</span>}
                {u.attempt > 1 && <span class="muted"> (attempt {u.attempt})</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function RemoveDialog({ agent, onClose }: { agent: Agent; onClose: () => void }) {
  const action = useAction();
  const name = agent.facts.hostname ?? agent.id;
  return (
    <Confirm
      title={`Remove ${name}?`}
      verb="Remove agent"
      danger
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          await request("DELETE", `/agents/${agent.id}`);
          toast(`${name} was removed.`);
          navigate("/agents");
        })
      }
    >
      <p>
        The gateway forgets this agent, its labels and its history, and refuses its certificate from now on. Nothing happens on the machine
        itself: the agent there goes on running, and knocks in vain.
      </p>
      <p>To bring the machine back, enrol it anew with a join token.</p>
    </Confirm>
  );
}

function mergeAgent(old: Agent, event: Agent): Agent {
  const kept: Partial<Agent> = {};
  for (const key of ["desired", "reason", "reason_text", "next_attempt", "updates"] as const) {
    if (old[key] !== undefined) Object.assign(kept, { [key]: old[key] });
  }
  return { ...event, ...kept };
}

function mergeEvents(old: Agent, update: Update): Agent {
  const known = old.updates?.find((u) => u.id === update.id);
  const merged = mergeUpdate(known, update);
  const updates = known ? (old.updates ?? []).map((u) => (u === known ? merged : u)) : [merged, ...(old.updates ?? [])];
  return { ...old, updates };
}

export default function AgentPage({ id }: { id: string }) {
  const agent = useResource(`agent ${id}`, (signal) => get<Agent>(`/agents/${encodeURIComponent(id)}`, {}, signal));
  const durations = useResource("durations", (signal) => get<Durations>("/updates/durations", {}, signal));
  const [dialog, setDialog] = useState<"update" | "labels" | "remove">();
  const close = () => setDialog(undefined);

  useEvents((batch) => {
    for (const e of batch) {
      if (e.event === "update" && e.data["agent"] === id) agent.put((a) => mergeEvents(a, e.data as unknown as Update));
      if (e.event === "agent" && e.data["id"] === id && e.data["change"] !== "removed") {
        agent.put((a) => mergeAgent(a, e.data as unknown as Agent));
      }
    }
  });
  // what is desired, and the exact times, come with the whole
  useReloadOn(
    (e) =>
      (e.event === "update" && e.data["agent"] === id) ||
      (e.event === "agent" && e.data["id"] === id) ||
      e.event === "desired" ||
      e.event === "labels",
    agent.reload,
    1500,
  );

  const a = agent.data;
  const name = a?.facts.hostname ?? shortId(id);
  // the steps are only told with the whole list
  const update = a?.updates?.[0];
  return (
    <Page
      title={name}
      heading={
        <span class="heading">
          {name}
          {a && <Status tone={agentState(a.state).tone}>{agentState(a.state).text}</Status>}
        </span>
      }
      aside={
        a && (
          <>
            {can("agents.administer") && <Button onClick={() => setDialog("remove")}>Remove…</Button>}
            {can("agents.operate") && <Button onClick={() => setDialog("labels")}>Labels…</Button>}
            {can("rollouts.operate") && (
              <Button kind="primary" onClick={() => setDialog("update")}>
                Update…
              </Button>
            )}
          </>
        )
      }
    >
      <Shown of={agent} rows={6}>
        {(a) => (
          <>
            <Notes agent={a} />
            {update && (
              <Section
                title={update.terminal ? "Last update" : update.back ? "Going back" : "Updating"}
                aside={
                  <span class="muted">
                    {update.from_version ?? "–"} → {update.version}, begun <Time at={update.created} />
                  </span>
                }
              >
                <Stepper update={update} durations={durations.data} />
              </Section>
            )}
            <div class="columns">
              <Section title="Identity">
                <Facts>
                  <Fact name="Id">
                    <Mono>{a.id}</Mono> <Copy text={a.id} label="Copy id" />
                  </Fact>
                  <Fact name="System">{a.facts.os_name ?? a.facts.os ?? "–"}</Fact>
                  <Fact name="Kernel">
                    {a.facts.kernel ?? "–"} {a.facts.arch && <span class="muted">{a.facts.arch}</span>}
                  </Fact>
                  <Fact name="Address">{a.address ?? "–"}</Fact>
                  <Fact name="Enrolled">
                    <Time at={a.enrolled} />
                  </Fact>
                  <Fact name="Connected">
                    <Time at={a.connected} />
                  </Fact>
                  <Fact name="Last seen">
                    <Time at={a.last_seen} />
                  </Fact>
                </Facts>
              </Section>
              <Section title="Version">
                <Facts>
                  <Fact name="Runs">{a.version ?? "not known yet"}</Fact>
                  <Fact name="Would go back to">{a.previous_version ?? "–"}</Fact>
                  <Fact name="Shall run">
                    <Wanted agent={a} />
                  </Fact>
                  <Fact name="Metadata ends">
                    <Time at={a.metadata_expires} future />
                  </Fact>
                  <Fact name="Packaging">{a.facts.packaging ?? "–"}</Fact>
                  <Fact name="Labels">
                    <Labels labels={a.labels} />
                  </Fact>
                </Facts>
              </Section>
            </div>
            <Section title="History">
              <History updates={a.updates ?? []} />
            </Section>
            {dialog === "update" && <UpdateDialog selection={{ kind: "ids", ids: [a.id] }} latest={false} onClose={close} />}
            {dialog === "labels" && <AgentLabelsDialog id={a.id} onClose={close} onDone={agent.reload} />}
            {dialog === "remove" && <RemoveDialog agent={a} onClose={close} />}
          </>
        )}
      </Shown>
    </Page>
  );
}
