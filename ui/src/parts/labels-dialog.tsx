// SPDX-License-Identifier: Apache-2.0
// Labels of many agents, all at once or not at all.

import { useState } from "preact/hooks";
import { describeFilter } from "../lib/agent-filter";
import { request } from "../lib/api";
import { plural } from "../lib/format";
import { useAction, useResource } from "../lib/resource";
import { type Selection, resolveSelection } from "../lib/targets";
import { Button, Note, Shown } from "./basics";
import { Confirm, TypedCount, isTypedCount } from "./dialog";
import { Input } from "./form";
import { toast } from "./toast";

interface Change {
  key: string;
  value: string;
}

export function LabelsDialog({ selection, onClose }: { selection: Selection; onClose: () => void }) {
  const resolved = useResource("target", (signal) => resolveSelection(selection, signal));
  const [changes, setChanges] = useState<Change[]>([{ key: "", value: "" }]);
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState(false);
  const [key] = useState(() => crypto.randomUUID());
  const action = useAction();
  const target = resolved.data;
  const count = target?.count ?? 0;
  const everybody = target?.target.all === true;
  const labels = Object.fromEntries(changes.filter((c) => c.key.trim() !== "").map((c) => [c.key.trim(), c.value.trim()]));
  const names = Object.keys(labels);
  const removed = names.filter((n) => labels[n] === "");

  const set = (i: number, part: Partial<Change>) => setChanges(changes.map((c, j) => (j === i ? { ...c, ...part } : c)));
  const apply = () => {
    if (everybody && !isTypedCount(typed, count)) {
      setWrong(true);
      return;
    }
    void action.run(async () => {
      const body = { ...target?.target, labels, expected_count: target?.count, expected_digest: target?.digest };
      const { data } = await request<{ matched: number; changed: number }>("POST", "/agents/labels", { body, idempotencyKey: key });
      toast(`Labels of ${plural(data.changed, "agent")} changed.`);
      onClose();
    });
  };

  return (
    <Confirm
      title="Change labels"
      verb={`Change ${plural(count, "agent")}`}
      busy={action.busy}
      problem={action.problem}
      blocked={!target || names.length === 0}
      onConfirm={apply}
      onClose={onClose}
    >
      <Shown of={resolved} rows={1}>
        {(t) => (
          <p class="lead">
            <strong>{plural(t.count, "agent")}</strong>{" "}
            {selection.kind === "ids" ? "that you selected" : everybody ? "– the whole fleet" : `– ${describeFilter(selection.filter)}`}
          </p>
        )}
      </Shown>
      {changes.map((c, i) => (
        <div class="label-edit" key={i}>
          <Input label="Label" mono value={c.key} onValue={(v) => set(i, { key: v })} error={action.problem?.of(`/labels/${c.key}`)} />
          <Input label="Value" mono value={c.value} onValue={(v) => set(i, { value: v })} placeholder="empty: take it away" />
          <Button
            kind="quiet"
            icon="close"
            label={`Remove line ${i + 1}`}
            disabled={changes.length === 1}
            onClick={() => setChanges(changes.filter((_, j) => j !== i))}
          />
        </div>
      ))}
      <Button icon="enrolment" onClick={() => setChanges([...changes, { key: "", value: "" }])}>
        Another label
      </Button>
      {removed.length > 0 && <Note tone="warn">Without a value, {removed.join(", ")} is taken away from all of them.</Note>}
      <p class="hint">Another label may mean another desired version for an agent, and another answer to selectors.</p>
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
    </Confirm>
  );
}
