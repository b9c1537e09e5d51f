// SPDX-License-Identifier: Apache-2.0
// A rollout is planned: for whom, what, and how; what would come of it stands beside, made by the gateway's own planner.

import { useEffect, useState } from "preact/hooks";
import type { GroupPage, Releases, Rollout, RolloutPlan, Target } from "../types";
import { describeTarget } from "../lib/agent-filter";
import { get, request } from "../lib/api";
import { formatClock, formatNumber, plural } from "../lib/format";
import { findTarget } from "../lib/kept-target";
import { useAction, useResource, useSettled } from "../lib/resource";
import { navigate, usePlace } from "../lib/router";
import { can } from "../lib/session";
import { checkForm, defaultForm, readStrategy } from "../lib/strategy-form";
import { describeBatches, describeCanaries, describeStop } from "../lib/strategy";
import { Button, Empty, Link, Note, Page, ProblemNote, Section, Shown, Waiting } from "../parts/basics";
import { Confirm, TypedCount, isTypedCount } from "../parts/dialog";
import { Choice, Input, Select } from "../parts/form";
import { PlanView } from "../parts/plan-view";
import { StrategyFields } from "../parts/strategy-fields";

type Whom = "selector" | "group" | "ids" | "all";

function whomOf(t: Target | undefined): Whom {
  if (t?.all) return "all";
  if (t?.group !== undefined) return "group";
  return t?.ids ? "ids" : "selector";
}

function useTargetForm() {
  const { query } = usePlace();
  const [given] = useState(() => findTarget(query));
  const [whom, setWhom] = useState<Whom>(whomOf(given));
  const [selector, setSelector] = useState(given?.selector ?? "");
  const [group, setGroup] = useState(given?.group ?? "");
  const settled = useSettled(selector.trim(), 300);
  const target: Target | undefined =
    whom === "all"
      ? { all: true }
      : whom === "group"
        ? group === ""
          ? undefined
          : { group }
        : whom === "ids"
          ? given?.ids && { ids: given.ids }
          : settled === ""
            ? undefined
            : { selector: settled };
  return { given, whom, setWhom, selector, setSelector, group, setGroup, target };
}

function ReviewDialog({ plan, body, description, onClose }: {
  plan: RolloutPlan;
  body: object;
  description: string;
  onClose: () => void;
}) {
  const everybody = plan.target.all === true;
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState(false);
  const [key] = useState(() => crypto.randomUUID());
  const action = useAction();
  const ends = plan.preview.ends;
  return (
    <Confirm
      title="Start this rollout?"
      verb={`Update ${plural(plan.cohort, "agent")} to ${plan.version}`}
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() => {
        if (everybody && !isTypedCount(typed, plan.matched)) {
          setWrong(true);
          return;
        }
        void action.run(async () => {
          const { data } = await request<Rollout>("POST", "/rollouts", {
            body: { ...body, expected_count: plan.matched, expected_digest: plan.digest, ...(description ? { description } : {}) },
            idempotencyKey: key,
          });
          navigate(`/rollouts/${data.id}`);
        });
      }}
    >
      <p class="lead">
        <strong>{plural(plan.cohort, "agent")}</strong> of {formatNumber(plan.matched)} ({describeTarget(plan.target)}) are brought to{" "}
        <strong>{plan.version}</strong>.
      </p>
      <ul class="plain-list">
        <li>{describeCanaries(plan.strategy)}</li>
        <li>{describeBatches(plan.strategy)}</li>
        <li>{describeStop(plan.strategy)}</li>
        {ends && <li>Done at about {formatClock(Date.parse(ends), Date.now())} if all goes well.</li>}
      </ul>
      {action.problem?.kind === "conflict" && (
        <Note tone="warn">The agents that match may have changed since the plan was made. Close this, and look at the plan again.</Note>
      )}
      {everybody && (
        <TypedCount
          count={plan.matched}
          value={typed}
          wrong={wrong}
          onValue={(v) => {
            setTyped(v);
            setWrong(false);
          }}
        />
      )}
    </Confirm>
  );
}

function Planner() {
  const { query } = usePlace();
  const t = useTargetForm();
  const releases = useResource("releases", (signal) => get<Releases>("/releases", {}, signal));
  const groups = useResource("groups", (signal) => get<GroupPage>("/groups", { limit: 1000 }, signal));
  const [version, setVersion] = useState(query.get("version") ?? "");
  const [form, setForm] = useState(defaultForm);
  const [description, setDescription] = useState("");
  const [review, setReview] = useState(false);
  const settledForm = useSettled(form, 350);
  const chosen = version || releases.data?.releases[0]?.version || "";
  const unreadable = checkForm(form);
  const body = { version: chosen, target: t.target, strategy: readStrategy(settledForm) };
  const ready = t.target !== undefined && chosen !== "" && !unreadable;
  const plan = useResource(ready ? `plan ${JSON.stringify(body)}` : undefined, async (signal) => {
    const { data } = await request<RolloutPlan>("POST", "/rollouts", { body: { ...body, dry_run: true }, signal });
    return data;
  });
  useEffect(() => {
    if (t.whom === "group" && t.group === "" && groups.data?.groups[0]) t.setGroup(groups.data.groups[0].name);
  }, [t.whom, groups.data]);

  const problem = plan.problem;
  const selectorError = problem?.kind === "bad-selector" ? problem.message : problem?.of("/target/selector");
  const shownElsewhere = problem && (selectorError || problem.body.errors?.some((e) => e.pointer?.startsWith("/strategy/")));
  const current = plan.data && !plan.outdated && !problem && !plan.busy && settledForm === form;

  return (
    <div class="planner">
      <form
        class="stack"
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          if (current && plan.data && plan.data.cohort > 0) setReview(true);
        }}
      >
        <Section title="1 Target">
          <div class="stack">
            <Choice<Whom>
              legend="Which agents"
              value={t.whom}
              onValue={t.setWhom}
              options={[
                { value: "selector", text: "Those with some labels or facts" },
                {
                  value: "group",
                  text: "A group",
                  disabled: groups.data?.groups.length === 0,
                  ...(groups.data?.groups.length === 0 ? { hint: "None has been made yet; fleet-gatewayctl group create makes one." } : {}),
                },
                ...(t.given?.ids
                  ? [{ value: "ids" as const, text: plural(t.given.ids.length, "agent that you selected", "agents that you selected") }]
                  : []),
                { value: "all", text: "All agents", hint: "You will be asked to type their number." },
              ]}
            />
            {t.whom === "selector" && (
              <Input
                label="Selector"
                mono
                value={t.selector}
                onValue={t.setSelector}
                placeholder="env=production,tier in (web,db)"
                hint="Facts are keys as well: fact.os=debian, fact.arch, fact.version."
                error={selectorError}
              />
            )}
            {t.whom === "group" && groups.data && groups.data.groups.length > 0 && (
              <Select
                label="Group"
                value={t.group}
                onValue={t.setGroup}
                options={groups.data.groups.map((g) => ({ value: g.name, text: `${g.name} – ${g.selector}` }))}
              />
            )}
          </div>
        </Section>
        <Section title="2 Version">
          <Shown of={releases} rows={1}>
            {({ releases: list }) =>
              list.length === 0 ? (
                <Note tone="warn">
                  No release has been imported yet. <Link to="/releases">Import one</Link> first.
                </Note>
              ) : (
                <Select
                  label="Release"
                  value={chosen}
                  onValue={setVersion}
                  error={problem?.of("/version")}
                  options={list.map((r, i) => ({ value: r.version, text: i === 0 ? `${r.version} (latest)` : r.version }))}
                />
              )
            }
          </Shown>
        </Section>
        <Section title="3 Strategy">
          <StrategyFields form={form} set={(part) => setForm({ ...form, ...part })} problem={problem} />
        </Section>
        <Section title="4 Description">
          <Input
            label="For those who read it later"
            value={description}
            onValue={setDescription}
            hint="May be left empty; otherwise shown instead of the target."
            error={problem?.of("/description")}
          />
        </Section>
      </form>
      <aside class="plan-side" aria-label="Plan">
        <div class="plan-box">
          <h2>What would happen</h2>
          {unreadable && <Note tone="warn">{unreadable}</Note>}
          {!t.target && !unreadable && <p class="muted">Say which agents, and the plan appears here.</p>}
          {problem && !shownElsewhere && <ProblemNote problem={problem} onRetry={plan.reload} />}
          {problem && shownElsewhere && <Note tone="bad">{problem.message}</Note>}
          {plan.data && t.target && !problem ? <PlanView plan={plan.data} stale={!current} /> : ready && !problem && <Waiting rows={5} />}
        </div>
        <div class="plan-foot">
          <Button kind="primary" disabled={!current || !plan.data || plan.data.cohort === 0} onClick={() => setReview(true)}>
            {current && plan.data && plan.data.cohort > 0 ? `Review and start for ${plural(plan.data.cohort, "agent")}…` : "Review and start…"}
          </Button>
        </div>
      </aside>
      {review && plan.data && <ReviewDialog plan={plan.data} body={body} description={description.trim()} onClose={() => setReview(false)} />}
    </div>
  );
}

export default function NewRolloutPage() {
  return (
    <Page title="New rollout">
      {can("rollouts.operate") ? (
        <Planner />
      ) : (
        <Empty title="Your role does not allow this">
          <p>
            Rollouts are made by operators and admins. <Link to="/rollouts">All rollouts</Link>
          </p>
        </Empty>
      )}
    </Page>
  );
}
