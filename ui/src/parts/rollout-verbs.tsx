// SPDX-License-Identifier: Apache-2.0
// What can be done with a rollout, each said before it is done.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Rollout, RolloutPlan, RolloutWhole } from "../types";
import { request } from "../lib/api";
import { formatNumber, plural } from "../lib/format";
import { useAction, useResource } from "../lib/resource";
import { navigate } from "../lib/router";
import { type Verb, batchName, verbText, verbsOf } from "../lib/rollout-progress";
import { Button, ProblemNote, Waiting } from "./basics";
import { Confirm } from "./dialog";
import { Excluded } from "./excluded";
import { Input } from "./form";
import type { IconName } from "./icon";

const icons: Record<Verb, IconName> = {
  approve: "check",
  pause: "pause",
  resume: "play",
  abort: "stop",
  "retry-failed": "retry",
  "roll-back": "back",
};

function Explanation({ verb, rollout: r }: { verb: Verb; rollout: RolloutWhole }): ComponentChildren {
  const flying = r.counts["in-flight"];
  const inFlight =
    flying > 0 ? `${plural(flying, "agent")} being updated now ${flying === 1 ? "gets" : "get"} through, or ${flying === 1 ? "goes" : "go"} back by ${flying === 1 ? "itself" : "themselves"}.` : "Nobody is being updated just now.";
  switch (verb) {
    case "pause":
      return (
        <>
          <p>No further agent is told to update until somebody resumes the rollout. {inFlight}</p>
          <p>Periods and watch times stand still meanwhile: an hour of pause does not end an hour of watching.</p>
        </>
      );
    case "resume":
      return r.reason === "operator" ? (
        <p>It goes on where it was: {formatNumber(r.counts.pending)} wait for their turn.</p>
      ) : (
        <>
          <p>
            It stopped by itself. <strong>{r.reason_text}</strong> {r.reason_detail}
          </p>
          <p>
            If you resume it, what failed so far ({formatNumber(r.failures)}) is taken as seen: from now on only new failures count against the
            threshold. {plural(r.counts.pending, "agent")} still wait for their turn.
          </p>
        </>
      );
    case "approve":
      return (
        <p>
          {batchName(r.batch + 1)} begins as soon as the other conditions allow it. So far {formatNumber(r.counts.succeeded)} succeeded and{" "}
          {formatNumber(r.failures)} failed.
        </p>
      );
    case "abort":
      return (
        <>
          <p>
            No further agent is told to update; {formatNumber(r.counts.pending)} that wait are cancelled. {inFlight} What was updated stays as it
            is.
          </p>
          <p>An aborted rollout cannot be resumed. When it has ended, it can be rolled back.</p>
        </>
      );
    case "retry-failed":
      return (
        <p>
          {plural(r.failures, "agent")} that failed, went back or timed out wait for another turn, under the same limits. Machines take the
          release off their denylist once. Only what fails from now on counts against the threshold.
        </p>
      );
    case "roll-back":
      return (
        <p>
          A rollout of its own sends those that took {r.version} back to the version that each of them came from. Nothing is downloaded: the
          machines still keep it.
        </p>
      );
  }
}

function VerbDialog({ verb, rollout, onClose, onDone }: {
  verb: Verb;
  rollout: RolloutWhole;
  onClose: () => void;
  onDone: () => void;
}) {
  const [why, setWhy] = useState("");
  const [key] = useState(() => crypto.randomUUID());
  const action = useAction();
  const back = verb === "roll-back";
  const plan = useResource(back ? "plan" : undefined, async (signal) => {
    const { data } = await request<RolloutPlan>("POST", `/rollouts/${rollout.id}/roll-back`, { body: { dry_run: true }, signal });
    return data;
  });
  // what is let go, or waived, is what the dialog shows
  const careful = verb === "approve" || verb === "resume";
  const now = useResource(careful ? `rollout-verb ${rollout.id}` : undefined, (signal) =>
    request<RolloutWhole>("GET", `/rollouts/${rollout.id}`, { signal }),
  );
  const run = () =>
    void action.run(async () => {
      const said = why.trim();
      const body = said === "" ? {} : back ? { description: said } : { why: said };
      const { data } = await request<Rollout>("POST", `/rollouts/${rollout.id}/${verb}`, {
        body,
        idempotencyKey: key,
        ...(now.data?.etag ? { ifMatch: now.data.etag } : {}),
      });
      onClose();
      if (back) navigate(`/rollouts/${data.id}`);
      else onDone();
    });
  return (
    <Confirm
      title={`${verbText[verb]} rollout ${rollout.id}?`}
      verb={back && plan.data ? `Roll back ${plural(plan.data.cohort, "agent")}` : verbText[verb]}
      danger={verb === "abort" || back}
      busy={action.busy}
      problem={action.problem}
      blocked={(back && !plan.data?.cohort) || (careful && !now.data)}
      onClose={onClose}
      onConfirm={run}
    >
      <Explanation verb={verb} rollout={now.data?.data ?? rollout} />
      {now.problem && <ProblemNote problem={now.problem} />}
      {back &&
        (plan.problem ? (
          <ProblemNote problem={plan.problem} />
        ) : plan.data ? (
          <>
            <p>
              <strong>{plural(plan.data.cohort, "agent")}</strong> go back{plan.data.preview.waiting_offline > 0 && `, ${formatNumber(plan.data.preview.waiting_offline)} of them when they are online again`}.
            </p>
            <Excluded plan={plan.data} />
          </>
        ) : (
          <Waiting rows={2} />
        ))}
      <Input
        label={back ? "Description" : "Why"}
        value={why}
        onValue={setWhy}
        hint={back ? "Shown with the new rollout; may be left empty." : "Kept in the audit log; may be left empty."}
      />
    </Confirm>
  );
}

export function RolloutVerbs({ rollout, onDone }: { rollout: RolloutWhole; onDone: () => void }) {
  const [verb, setVerb] = useState<Verb>();
  return (
    <div class="row">
      {verbsOf(rollout).map((v) => (
        <Button
          key={v}
          icon={icons[v]}
          kind={v === "approve" || v === "resume" ? "primary" : undefined}
          onClick={() => setVerb(v)}
        >
          {verbText[v]}
        </Button>
      ))}
      {verb && <VerbDialog verb={verb} rollout={rollout} onClose={() => setVerb(undefined)} onDone={onDone} />}
    </div>
  );
}
