// SPDX-License-Identifier: Apache-2.0
// Entries of the audit log.

import { useState } from "preact/hooks";
import type { AuditPage } from "../types";
import { formatNumber, formatTime } from "../lib/format";
import { actorName } from "../lib/words";
import { Link, Time } from "./basics";
import { Icon } from "./icon";
import { Whom } from "./whom";

type Line = AuditPage["entries"][number];

const actions: Record<string, string> = {
  "agent.enroll": "enrolled",
  "agent.labels": "changed labels of",
  "agent.remove": "removed",
  "backup.create": "downloaded a backup",
  "desired.set": "set the desired version for",
  "desired.delete": "withdrew",
  "group.create": "made",
  "group.change": "changed",
  "group.remove": "removed",
  "release.import": "imported releases",
  "release.recover": "finished an interrupted import",
  "join-token.create": "made",
  "join-token.delete": "revoked",
  "api-token.create": "made",
  "api-token.delete": "revoked",
  "user.create": "made",
  "user.remove": "removed",
  "user.change": "changed",
  "user.password": "set the password of",
  "session.create": "signed in",
  "session.delete": "signed out",
  "session.refused": "was refused",
  "session.limited": "had to wait, after too many attempts",
  "setup.code": "made a setup code",
  "setup.refused": "was refused with a setup code",
  "rollout.create": "began",
  "rollout.roll-back": "began, to go back,",
  "rollout.pause": "paused",
  "rollout.resume": "resumed",
  "rollout.abort": "aborted",
  "rollout.approve": "approved the next batch of",
  "rollout.retry-failed": "let those that failed try again in",
  "rollout.stop": "stopped",
  "rollout.end": "ended",
};

function describe(action: string): string {
  return actions[action] ?? action;
}

function Target({ target }: { target: string }) {
  const [kind = "", ...rest] = target.split(":");
  const name = rest.join(":");
  if (kind === "agent") return <Link to={`/agents/${name}`}>agent {name.slice(0, 8)}</Link>;
  if (kind === "rollout") return <Link to={`/rollouts/${name}`}>rollout {name}</Link>;
  if (kind === "selector" || kind === "agents") return <Whom text={name} />;
  return <>{target === "all" ? "all agents" : name ? `${kind.replace("-", " ")} ${name}` : target}</>;
}

function Detail({ line }: { line: Line }) {
  const e = line.entry;
  return (
    <div class="audit-detail">
      {e?.detail && Object.keys(e.detail).length > 0 && <pre>{JSON.stringify(e.detail, null, 2)}</pre>}
      <dl class="facts">
        <dt>Action</dt>
        <dd class="mono">{e?.action}</dd>
        {e?.source && (
          <>
            <dt>From</dt>
            <dd>
              {e.source}, by {e.method}
            </dd>
          </>
        )}
        {e?.request_id && (
          <>
            <dt>Request</dt>
            <dd class="mono">{e.request_id}</dd>
          </>
        )}
        <dt>Hash</dt>
        <dd class="mono">{line.hash}</dd>
      </dl>
    </div>
  );
}

function EntryRows({ line, brief }: { line: Line; brief: boolean }) {
  const [open, setOpen] = useState(false);
  const e = line.entry;
  if (!e) {
    return (
      <tr class="damaged">
        <td>{formatNumber(line.seq)}</td>
        <td colSpan={4}>
          <span class="status bad">
            <Icon name="warning" /> The text of this entry is damaged.
          </span>
        </td>
      </tr>
    );
  }
  return (
    <>
      <tr>
        {!brief && <td class="end muted p2">{formatNumber(line.seq)}</td>}
        <td class="nowrap">{brief ? <Time at={e.time} /> : <time dateTime={e.time}>{formatTime(Date.parse(e.time))}</time>}</td>
        <td>
          <strong class="actor">{actorName(e.actor)}</strong> {describe(e.action)}{" "}
          {e.target && e.target !== e.actor && <Target target={e.target} />}
          {line.mismatch && <span class="tag bad">columns differ</span>}
        </td>
        <td class="end p2">{e.count > 1 ? formatNumber(e.count) : ""}</td>
        {!brief && (
          <td class="end">
            <button type="button" class="button quiet bare" aria-expanded={open} aria-label={`Details of entry ${line.seq}`} onClick={() => setOpen(!open)}>
              <Icon name={open ? "up" : "down"} />
            </button>
          </td>
        )}
      </tr>
      {open && (
        <tr class="detail-row">
          <td colSpan={5}>
            <Detail line={line} />
          </td>
        </tr>
      )}
    </>
  );
}

export function AuditTable({ entries, brief = false }: { entries: Line[]; brief?: boolean }) {
  return (
    <div class="table-wrap">
      <table class={`table audit ${brief ? "brief" : ""}`}>
        <thead>
          <tr>
            {!brief && (
              <th scope="col" class="end p2">
                No.
              </th>
            )}
            <th scope="col">When</th>
            <th scope="col">Who did what</th>
            <th scope="col" class="end p2">
              Concerned
            </th>
            {!brief && (
              <th scope="col" class="end">
                <span class="visually-hidden">Details</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {entries.map((line) => (
            <EntryRows key={line.seq} line={line} brief={brief} />
          ))}
        </tbody>
      </table>
    </div>
  );
}
