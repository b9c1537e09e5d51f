// SPDX-License-Identifier: Apache-2.0
// What may run, who signed it, until when, where it runs, and where it failed.

import { useState } from "preact/hooks";
import type { AgentSummary, MetadataRole, Release, Releases } from "../types";
import { get } from "../lib/api";
import { useNow } from "../lib/clock";
import { formatBytes, formatNumber, formatRelative, formatTime, plural } from "../lib/format";
import { useReloadOn } from "../lib/live";
import { useResource } from "../lib/resource";
import { formatPlace, navigate } from "../lib/router";
import { can } from "../lib/session";
import { PHASES_FAILED } from "../lib/words";
import { Button, Copy, Empty, Link, Mono, Page, Section, Shown, Time } from "../parts/basics";
import { Icon, Status, type Tone } from "../parts/icon";
import { ImportDialog } from "../parts/import-dialog";

const roleTexts: Record<string, string> = {
  root: "Says who may sign what",
  targets: "Signs releases",
  snapshot: "Says what belongs together",
  timestamp: "Says that it is fresh",
};
const DAY = 86_400_000;
const SOON: Record<string, number> = { root: 30 * DAY, targets: 14 * DAY, snapshot: 7 * DAY, timestamp: DAY };

function Expiry({ role }: { role: MetadataRole }) {
  const now = useNow();
  const t = Date.parse(role.expires);
  const left = t - now;
  const tone: Tone = left <= 0 ? "bad" : left < (SOON[role.role] ?? DAY) ? "warn" : "ok";
  const text = left <= 0 ? `Expired ${formatRelative(t, now)}` : formatRelative(t, now);
  return (
    <span title={formatTime(t)}>
      <Status tone={tone}>{text}</Status>
    </span>
  );
}

function Roles({ roles }: { roles: MetadataRole[] }) {
  return (
    <div class="table-wrap">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Role</th>
            <th scope="col" class="p2">
              What it does
            </th>
            <th scope="col" class="end p2">
              Version
            </th>
            <th scope="col">Expires</th>
            <th scope="col">Signed by</th>
          </tr>
        </thead>
        <tbody>
          {roles.map((r) => {
            const signed = r.keys.filter((k) => k.signed).length;
            return (
              <tr key={r.role}>
                <th scope="row">{r.role}</th>
                <td class="muted p2">{roleTexts[r.role]}</td>
                <td class="end p2">{r.version}</td>
                <td>
                  <Expiry role={r} />
                </td>
                <td class="wrap">
                  {signed} of {plural(r.keys.length, "key")}, {r.threshold} needed
                  <ul class="keys">
                    {r.keys.map((k) => (
                      <li key={k.keyid} class={k.signed ? "" : "muted"} title={k.signed ? `${k.keyid} has signed` : `${k.keyid} has not signed`}>
                        {k.signed ? <Icon name="check" size={12} /> : <Icon name="close" size={12} />}
                        <span class="mono">{k.keyid.slice(0, 12)}</span>
                        <span class="visually-hidden">{k.signed ? "has signed" : "has not signed"}</span>
                      </li>
                    ))}
                  </ul>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Artifacts({ release }: { release: Release }) {
  return (
    <table class="table small">
      <thead>
        <tr>
          <th scope="col">File</th>
          <th scope="col">For</th>
          <th scope="col" class="end">
            Size
          </th>
          <th scope="col">SHA-256</th>
        </tr>
      </thead>
      <tbody>
        {release.artifacts.map((a) => (
          <tr key={a.path}>
            <td class="mono">{a.path.split("/").at(-1)}</td>
            <td>
              {a.os} {a.arch}
            </td>
            <td class="end nowrap">{formatBytes(a.length)}</td>
            <td>
              <Mono title={a.sha256}>{a.sha256.slice(0, 16)}…</Mono> <Copy text={a.sha256} label={`Copy the SHA-256 of ${a.path}`} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function failures(r: Release): number {
  const f = r.failed_on;
  return f ? f.failed + f.rolled_back + f.timed_out : 0;
}

function ReleaseRows({ release: r, running, newest }: { release: Release; running: number | undefined; newest: boolean }) {
  const [open, setOpen] = useState(false);
  const bad = failures(r);
  const archs = [...new Set(r.artifacts.map((a) => a.arch))].sort();
  return (
    <>
      <tr>
        <th scope="row">
          <span class="pair">
            <strong>{r.version}</strong>
            {newest && <span class="tag">latest</span>}
            {r.severity && r.severity !== "normal" && <span class="tag bad">{r.severity}</span>}
          </span>
        </th>
        <td>
          {bad > 0 ? (
            <Link to={formatPlace("/agents", { update: PHASES_FAILED.join(",") })}>
              <Status tone="bad">{`Failed on ${formatNumber(bad)}`}</Status>
            </Link>
          ) : (
            <span class="muted">No failure</span>
          )}
        </td>
        <td class="end">{running === undefined ? "–" : <Link to={formatPlace("/agents", { version: r.version })}>{formatNumber(running)}</Link>}</td>
        <td class="p3">{archs.join(", ")}</td>
        <td class="p3">
          {r.requires ? `needs ${r.requires}` : ""}
          {r.requires && r.floor ? ", " : ""}
          {r.floor ? `nothing below ${r.floor} afterwards` : ""}
          {r.requires_packaging ? `${r.requires || r.floor ? ", " : ""}packaging ${r.requires_packaging}` : ""}
        </td>
        <td class="end p2">
          <Time at={r.imported} />
        </td>
        <td>
          <span class="row-actions">
          {can("rollouts.operate") && (
            <Button kind="quiet" onClick={() => navigate(formatPlace("/rollouts/new", { version: r.version }))}>
              Roll out…
            </Button>
          )}
          <button type="button" class="button quiet bare" aria-expanded={open} aria-label={`Files of ${r.version}`} onClick={() => setOpen(!open)}>
            <Icon name={open ? "up" : "down"} />
          </button>
          </span>
        </td>
      </tr>
      {open && (
        <tr class="detail-row">
          <td colSpan={7}>
            {bad > 0 && r.failed_on && (
              <p>
                {formatNumber(r.failed_on.rolled_back)} went back by themselves, {formatNumber(r.failed_on.failed)} failed before the restart,{" "}
                {formatNumber(r.failed_on.timed_out)} timed out. <Link to={formatPlace("/rollouts", { version: r.version })}>Its rollouts</Link>
              </p>
            )}
            <Artifacts release={r} />
          </td>
        </tr>
      )}
    </>
  );
}

export default function ReleasesPage() {
  const releases = useResource("releases", (signal) => get<Releases>("/releases", {}, signal));
  const summary = useResource("summary", (signal) => get<AgentSummary>("/agents/summary", {}, signal));
  const [importing, setImporting] = useState(false);
  useReloadOn(
    (e) => e.event === "release" || e.event === "agent" || (e.event === "update" && e.data["terminal"] === true),
    () => {
      releases.reload();
      summary.reload();
    },
    5000,
  );
  const running = (version: string) => {
    if (!summary.data) return undefined;
    return summary.data.versions.values.find((v) => v.value === version)?.count ?? 0;
  };
  const mayImport = can("releases.operate");
  const importButton = (
    <Button kind="primary" icon="download" onClick={() => setImporting(true)}>
      Import…
    </Button>
  );
  return (
    <Page title="Releases" aside={mayImport && importButton}>
      <Shown of={releases} rows={6}>
        {({ releases: list, metadata }) =>
          list.length === 0 ? (
            <Empty title="No release has been imported">
              <p>
                Releases are signed offline with <code>fleet-release</code>; the gateway holds no signing key.
                {mayImport ? " Import the repository that it has published, here or with fleet-gatewayctl release import." : ""}
              </p>
            </Empty>
          ) : (
            <>
              <Section title="Versions">
                <div class="table-wrap">
                  <table class="table">
                    <thead>
                      <tr>
                        <th scope="col">Version</th>
                        <th scope="col">How it fared</th>
                        <th scope="col" class="end">
                          Agents
                        </th>
                        <th scope="col" class="p3">
                          For
                        </th>
                        <th scope="col" class="p3">
                          Conditions
                        </th>
                        <th scope="col" class="end p2">
                          Imported
                        </th>
                        <th scope="col">
                          <span class="visually-hidden">Actions</span>
                        </th>
                      </tr>
                    </thead>
                    <tbody>
                      {list.map((r, i) => (
                        <ReleaseRows key={r.version} release={r} running={running(r.version)} newest={i === 0} />
                      ))}
                    </tbody>
                  </table>
                </div>
              </Section>
              {metadata?.roles && (
                <Section title="Who signed it">
                  <Roles roles={metadata.roles} />
                </Section>
              )}
            </>
          )
        }
      </Shown>
      {importing && <ImportDialog onClose={() => setImporting(false)} onDone={releases.reload} />}
    </Page>
  );
}
