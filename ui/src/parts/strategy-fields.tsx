// SPDX-License-Identifier: Apache-2.0
// The form of a strategy.

import { useId } from "preact/hooks";
import type { Weekday } from "../types";
import type { Problem } from "../lib/problem";
import type { StrategyForm, WindowForm } from "../lib/strategy-form";
import { Button } from "./basics";
import { Check, Input, Select } from "./form";

interface Props {
  form: StrategyForm;
  set: (part: Partial<StrategyForm>) => void;
  problem: Problem | undefined;
}

function at(problem: Problem | undefined, where: string): string | undefined {
  return problem?.of(`/strategy${where}`);
}

function Canaries({ form, set, problem }: Props) {
  const none = form.canaries === "none";
  return (
    <fieldset class="group">
      <legend>Canaries</legend>
      <div class="form-grid">
        <Select
          label="How many"
          value={form.canaries}
          onValue={(v) => set({ canaries: v as StrategyForm["canaries"] })}
          options={[
            { value: "default", text: "10, or a tenth if that is less" },
            { value: "count", text: "A number" },
            { value: "percent", text: "A share" },
            { value: "none", text: "None" },
          ]}
        />
        {(form.canaries === "count" || form.canaries === "percent") && (
          <Input
            label={form.canaries === "count" ? "Canaries" : "Share"}
            inputMode="numeric"
            unit={form.canaries === "count" ? "agents" : "%"}
            value={form.canaryAmount}
            onValue={(v) => set({ canaryAmount: v })}
            error={at(problem, "/canary/count") ?? at(problem, "/canary/percent")}
          />
        )}
        {!none && (
          <>
            <Input
              label="Must succeed"
              inputMode="numeric"
              unit="%"
              value={form.canarySuccess}
              onValue={(v) => set({ canarySuccess: v })}
              error={at(problem, "/canary/success_percent")}
            />
            <Input
              label="Watched for"
              inputMode="numeric"
              unit="min"
              value={form.canarySoak}
              onValue={(v) => set({ canarySoak: v })}
              error={at(problem, "/canary/soak_sec")}
            />
          </>
        )}
      </div>
      {!none && (
        <Check
          label="Somebody must approve before the rest follows"
          checked={form.canaryApproval}
          onChecked={(v) => set({ canaryApproval: v })}
        />
      )}
    </fieldset>
  );
}

function Batches({ form, set, problem }: Props) {
  const all = form.batchKind === "all";
  return (
    <fieldset class="group">
      <legend>Batches</legend>
      <div class="form-grid">
        <Select
          label="Then"
          value={form.batchKind}
          onValue={(v) => set({ batchKind: v as StrategyForm["batchKind"] })}
          options={[
            { value: "count", text: "A number at a time" },
            { value: "percent", text: "A share at a time" },
            { value: "all", text: "All at once" },
          ]}
        />
        {!all && (
          <>
            <Input
              label="Size of a batch"
              inputMode="numeric"
              unit={form.batchKind === "count" ? "agents" : "%"}
              value={form.batchAmount}
              onValue={(v) => set({ batchAmount: v })}
              error={at(problem, "/batch/size") ?? at(problem, "/batch/percent") ?? at(problem, "/batch")}
            />
            <Input
              label="Every"
              inputMode="numeric"
              unit="min"
              value={form.every}
              onValue={(v) => set({ every: v })}
              error={at(problem, "/batch/every_sec")}
            />
          </>
        )}
        <Input
          label="Goes on when"
          inputMode="numeric"
          unit="% succeeded"
          value={form.batchSuccess}
          onValue={(v) => set({ batchSuccess: v })}
          error={at(problem, "/batch/success_percent")}
        />
        <Input
          label="Watched for"
          inputMode="numeric"
          unit="min"
          value={form.batchSoak}
          onValue={(v) => set({ batchSoak: v })}
          error={at(problem, "/batch/soak_sec")}
        />
        {!all && (
          <Input
            label="First batches"
            placeholder="such as 5, 20"
            hint="Sizes to begin with."
            value={form.ramp}
            onValue={(v) => set({ ramp: v })}
            error={at(problem, "/batch/ramp")}
          />
        )}
      </div>
      <Check label="Somebody must approve each batch" checked={form.batchApproval} onChecked={(v) => set({ batchApproval: v })} />
    </fieldset>
  );
}

function Limits({ form, set, problem }: Props) {
  return (
    <fieldset class="group">
      <legend>Limits</legend>
      <div class="form-grid">
        <Select
          label="Stops by itself at more than"
          value={form.failureKind}
          onValue={(v) => set({ failureKind: v as StrategyForm["failureKind"] })}
          options={[
            { value: "percent", text: "a share of those begun" },
            { value: "count", text: "a number of agents" },
          ]}
        />
        <Input
          label="Failures allowed"
          inputMode="numeric"
          unit={form.failureKind === "percent" ? "%" : "agents"}
          value={form.failures}
          onValue={(v) => set({ failures: v })}
          error={at(problem, "/max_failures/count") ?? at(problem, "/max_failures/percent") ?? at(problem, "/max_failures")}
        />
        <Input
          label="At the same time"
          inputMode="numeric"
          unit="agents"
          placeholder="a batch"
          value={form.inFlight}
          onValue={(v) => set({ inFlight: v })}
          error={at(problem, "/max_in_flight")}
        />
        <Input
          label="Attempts"
          inputMode="numeric"
          hint="Where it failed for a reason that may pass."
          value={form.attempts}
          onValue={(v) => set({ attempts: v })}
          error={at(problem, "/attempts")}
        />
        <Select
          label="Who is offline"
          value={form.offline}
          onValue={(v) => set({ offline: v as StrategyForm["offline"] })}
          options={[
            { value: "wait", text: "follows on return" },
            { value: "skip", text: "is left out" },
          ]}
        />
        {form.offline === "wait" && (
          <Input
            label="Waited for"
            inputMode="numeric"
            unit="days"
            value={form.offlineDays}
            onValue={(v) => set({ offlineDays: v })}
            error={at(problem, "/offline_wait_sec")}
          />
        )}
      </div>
    </fieldset>
  );
}

const days: Weekday[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

function Window({ value, index, set, remove, problem, zones }: {
  value: WindowForm;
  index: number;
  set: (part: Partial<WindowForm>) => void;
  remove: () => void;
  problem: Problem | undefined;
  zones: string;
}) {
  return (
    <div class="window">
      <div class="days" role="group" aria-label={`Days of window ${index + 1}`}>
        {days.map((d) => (
          <label key={d}>
            <input
              type="checkbox"
              checked={value.days.includes(d)}
              onChange={(e) => set({ days: days.filter((x) => (x === d ? e.currentTarget.checked : value.days.includes(x))) })}
            />
            {d}
          </label>
        ))}
      </div>
      <div class="window-fields">
        <Input label="From" type="time" value={value.start} onValue={(v) => set({ start: v })} error={at(problem, `/windows/${index}/start`)} />
        <Input label="For" inputMode="numeric" unit="h" value={value.hours} onValue={(v) => set({ hours: v })} error={at(problem, `/windows/${index}/duration_sec`)} />
        <Input label="Time zone" list={zones} value={value.zone} onValue={(v) => set({ zone: v })} error={at(problem, `/windows/${index}/time_zone`)} />
        <Button kind="quiet" icon="close" label={`Remove window ${index + 1}`} onClick={remove} />
      </div>
    </div>
  );
}

function Windows({ form, set, problem }: Props) {
  const id = useId();
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const change = (i: number, part: Partial<WindowForm>) => set({ windows: form.windows.map((w, j) => (j === i ? { ...w, ...part } : w)) });
  return (
    <fieldset class="group">
      <legend>Maintenance windows</legend>
      <datalist id={id}>
        {Intl.supportedValuesOf("timeZone").map((z) => (
          <option key={z} value={z} />
        ))}
      </datalist>
      {form.windows.length === 0 && <p class="hint">None: it goes on at any time.</p>}
      {form.windows.map((w, i) => (
        <Window
          key={i}
          value={w}
          index={i}
          zones={id}
          problem={problem}
          set={(part) => change(i, part)}
          remove={() => set({ windows: form.windows.filter((_, j) => j !== i) })}
        />
      ))}
      <div>
        <Button
          icon="enrolment"
          onClick={() => set({ windows: [...form.windows, { days: ["mon", "tue", "wed", "thu", "fri"], start: "22:00", hours: "6", zone: here }] })}
        >
          Add a window
        </Button>
      </div>
    </fieldset>
  );
}

export function StrategyFields(props: Props) {
  const { form, set } = props;
  return (
    <div class="stack">
      <Canaries {...props} />
      <Batches {...props} />
      <Limits {...props} />
      <details class="more">
        <summary>Windows, new agents, emergency</summary>
        <div class="stack">
          <Windows {...props} />
          <Check
            label="Agents that come later take part"
            hint="Not for named agents."
            checked={form.newAgents}
            onChecked={(v) => set({ newAgents: v })}
          />
          <Check
            label="At its end the version becomes what the target shall run"
            hint="So that machines which are set up later come to it, too."
            checked={form.setDesired}
            onChecked={(v) => set({ setDesired: v })}
          />
          <Check
            label="Emergency"
            hint="No windows, no watching, no approvals. Verification, limits and the automatic stop stay."
            checked={form.emergency}
            onChecked={(v) => set({ emergency: v })}
          />
        </div>
      </details>
    </div>
  );
}
