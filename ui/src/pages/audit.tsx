// SPDX-License-Identifier: Apache-2.0
// What was done, by whom, when; never changed, and chained by hashes.

import { useEffect, useState } from "preact/hooks";
import type { AuditPage as Entries } from "../types";
import { get, getText } from "../lib/api";
import { formatNumber } from "../lib/format";
import { useReloadOn } from "../lib/live";
import { asProblem, isAbort, type Problem } from "../lib/problem";
import { useAction, useResource, useSettled } from "../lib/resource";
import { changeQuery, usePlace } from "../lib/router";
import { can } from "../lib/session";
import { AuditTable } from "../parts/audit-table";
import { Button, Copy, Empty, Mono, Page, ProblemNote, Shown } from "../parts/basics";
import { Input, Select } from "../parts/form";
import { toast } from "../parts/toast";

const LIMIT = 100;
const spans = [
  { value: "", text: "Any time" },
  { value: "3600", text: "The last hour" },
  { value: "86400", text: "The last day" },
  { value: "604800", text: "The last week" },
];
const kinds = [
  { value: "", text: "Everything" },
  { value: "rollout.*", text: "Rollouts" },
  { value: "desired.*", text: "Desired versions" },
  { value: "agent.*", text: "Agents" },
  { value: "release.*", text: "Releases" },
  { value: "user.*", text: "Users" },
  { value: "session.*", text: "Signing in" },
  { value: "api-token.*", text: "API tokens" },
  { value: "join-token.*", text: "Join tokens" },
];

function useField(name: string): [string, string, (v: string) => void] {
  const { query } = usePlace();
  const value = query.get(name) ?? "";
  const [text, setText] = useState(value);
  const settled = useSettled(text, 300);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (settled.trim() !== value && settled === text) changeQuery({ [name]: settled.trim() || undefined }, { replace: true });
  }, [settled]);
  return [value, text, setText];
}

/** All pages, oldest first, as lines that fleet-gatewayctl audit verify reads. */
async function exportAll(): Promise<Blob> {
  const parts: Blob[] = [];
  for (let after = 0; ; ) {
    const part = await getText("/audit", { order: "asc", after, limit: 1000 }, "application/x-ndjson");
    const text = await part.text();
    const last = text.trimEnd().split("\n").at(-1);
    if (!last) return new Blob(parts, { type: "application/x-ndjson" });
    parts.push(part);
    const line = JSON.parse(last) as { entry?: { seq?: number } };
    const seq = line.entry?.seq ?? 0;
    if (seq <= after) return new Blob(parts, { type: "application/x-ndjson" });
    after = seq;
  }
}

export default function AuditPage() {
  const { query } = usePlace();
  const action = query.get("action") ?? "";
  const span = query.get("span") ?? "";
  const [actor, actorText, setActor] = useField("actor");
  const [target, targetText, setTarget] = useField("target");
  const wild = (text: string) => (text === "" || text.endsWith("*") ? text : `${text}*`);
  const parameters = () => ({
    action,
    actor: wild(actor),
    target: wild(target),
    since: span ? new Date(Date.now() - Number(span) * 1000).toISOString().replace(/\.\d+Z$/, "Z") : "",
    limit: LIMIT,
  });
  const key = JSON.stringify([action, actor, target, span]);
  const audit = useResource(can("audit.administer") ? key : undefined, (signal) => get<Entries>("/audit", parameters(), signal));
  const [more, setMore] = useState<{ key: string; entries: Entries["entries"]; cursor: string | undefined }>();
  const [moreProblem, setMoreProblem] = useState<Problem>();
  const exporting = useAction();
  useReloadOn((e) => e.event !== "agent" && !(e.event === "update" && e.data["terminal"] !== true), audit.reload, 5000);

  const first = audit.data;
  const older = more?.key === key ? more : undefined;
  const lowest = first?.entries.at(-1)?.seq ?? Infinity;
  const entries = [...(first?.entries ?? []), ...(older?.entries.filter((e) => e.seq < lowest) ?? [])];
  const cursor = older ? older.cursor : first?.next_cursor;
  const showOlder = async () => {
    try {
      const page = await get<Entries>("/audit", { ...parameters(), cursor });
      setMore({ key, entries: [...(older?.entries ?? []), ...page.entries], cursor: page.next_cursor });
      setMoreProblem(undefined);
    } catch (error) {
      if (!isAbort(error)) setMoreProblem(asProblem(error));
    }
  };

  if (!can("audit.administer")) {
    return (
      <Page title="Audit">
        <Empty title="Your role does not allow this">
          <p>The audit log is for admins.</p>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title="Audit"
      aside={
        <Button
          icon="download"
          busy={exporting.busy}
          onClick={() =>
            void exporting.run(async () => {
              const link = document.createElement("a");
              link.href = URL.createObjectURL(await exportAll());
              link.download = `audit-${new Date().toISOString().slice(0, 10)}.ndjson`;
              link.click();
              URL.revokeObjectURL(link.href);
              toast("Exported the whole log. fleet-gatewayctl audit verify --from-file checks its chain.");
            })
          }
        >
          Export all
        </Button>
      }
    >
      {exporting.problem && <ProblemNote problem={exporting.problem} />}
      <div class="form-grid audit-filters">
        <Select label="What" value={action} onValue={(v) => changeQuery({ action: v || undefined })} options={kinds} />
        <Input label="Who" value={actorText} onValue={setActor} placeholder="user:alice" error={audit.problem?.of("?actor")} />
        <Input label="On what" value={targetText} onValue={setTarget} placeholder="rollout:12" error={audit.problem?.of("?target")} />
        <Select label="When" value={span} onValue={(v) => changeQuery({ span: v || undefined })} options={spans} />
      </div>
      {first?.head && (
        <p class="below muted">
          {formatNumber(first.head.seq)} entries. Hash of the newest: <Mono>{first.head.hash.slice(0, 16)}…</Mono>{" "}
          <Copy text={first.head.hash} label="Copy the hash" /> Note it elsewhere, and <code>fleet-gatewayctl audit verify</code> tells whether
          anything before it was changed.
        </p>
      )}
      <Shown of={audit} rows={8}>
        {() =>
          entries.length === 0 && !cursor ? (
            <Empty title="No entry is like that">
              <p>Loosen the filters. Who and what are beginnings of names, such as user: or rollout:.</p>
            </Empty>
          ) : (
            <>
              <AuditTable entries={entries} />
              {moreProblem && <ProblemNote problem={moreProblem} />}
              {cursor && (
                <p class="below">
                  <Button onClick={() => void showOlder()}>Show older ones</Button>
                </p>
              )}
            </>
          )
        }
      </Shown>
    </Page>
  );
}
