// SPDX-License-Identifier: Apache-2.0
// The labels of one agent, as they are; what somebody else changed meanwhile is not overwritten.

import { useEffect, useState } from "preact/hooks";
import type { Agent } from "../types";
import { request } from "../lib/api";
import { useAction, useResource } from "../lib/resource";
import { Button, Note, Shown } from "./basics";
import { Confirm } from "./dialog";
import { Input } from "./form";
import { toast } from "./toast";

interface Line {
  key: string;
  value: string;
}

export function AgentLabelsDialog({ id, onClose, onDone }: { id: string; onClose: () => void; onDone: () => void }) {
  const agent = useResource(`agent-labels ${id}`, (signal) => request<Agent>("GET", `/agents/${encodeURIComponent(id)}`, { signal }));
  const [lines, setLines] = useState<Line[]>();
  const action = useAction();
  const before = agent.data?.data.labels ?? {};

  useEffect(() => {
    if (agent.data) setLines([...Object.entries(agent.data.data.labels).map(([key, value]) => ({ key, value })), { key: "", value: "" }]);
  }, [agent.data]);

  const set = (i: number, part: Partial<Line>) => setLines(lines?.map((l, j) => (j === i ? { ...l, ...part } : l)));
  const named = (lines ?? []).filter((l) => l.key.trim() !== "");
  const after = Object.fromEntries(named.map((l) => [l.key.trim(), l.value.trim()]));
  const changes: Record<string, string> = {};
  for (const [key, value] of Object.entries(after)) if (before[key] !== value) changes[key] = value;
  for (const key of Object.keys(before)) if (!(key in after)) changes[key] = "";
  const n = Object.keys(changes).length;

  return (
    <Confirm
      title="Labels"
      verb={n === 1 ? "Change one label" : `Change ${n} labels`}
      busy={action.busy}
      problem={action.problem}
      blocked={n === 0}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          await request("PATCH", `/agents/${encodeURIComponent(id)}`, {
            body: { labels: changes },
            ...(agent.data?.etag ? { ifMatch: agent.data.etag } : {}),
          });
          toast("The labels were changed.");
          onDone();
          onClose();
        })
      }
    >
      <Shown of={agent}>
        {() => (
          <>
            {lines?.map((l, i) => (
              <div class="label-edit" key={i}>
                <Input label="Label" mono value={l.key} onValue={(v) => set(i, { key: v })} />
                <Input label="Value" mono value={l.value} onValue={(v) => set(i, { value: v })} />
                <Button kind="quiet" icon="close" label={`Remove ${l.key || `line ${i + 1}`}`} onClick={() => setLines(lines.filter((_, j) => j !== i))} />
              </div>
            ))}
            <div>
              <Button icon="enrolment" onClick={() => setLines([...(lines ?? []), { key: "", value: "" }])}>
                Another label
              </Button>
            </div>
          </>
        )}
      </Shown>
      {action.problem?.kind === "precondition-failed" && (
        <Note tone="warn">
          Somebody changed this agent meanwhile.{" "}
          <button type="button" class="text-button" onClick={() => (action.clear(), agent.reload())}>
            Read it again
          </button>
        </Note>
      )}
      <p class="hint">Another label may mean another desired version, and another answer to selectors.</p>
    </Confirm>
  );
}
