// SPDX-License-Identifier: Apache-2.0
// Which versions run, as a bar and as the table that says the same.

import type { Counted } from "../types";
import { formatNumber, formatShare } from "../lib/format";
import { formatPlace } from "../lib/router";
import { compareVersions } from "../lib/versions";
import { Link } from "./basics";
import { StackedBar } from "./progress-bar";

const COLOURS = 6;

interface Row {
  name: string;
  value: string | undefined;
  count: number;
  className: string;
}

export function versionRows(counted: Counted): Row[] {
  const newestFirst = [...counted.values].sort((a, b) => compareVersions(b.value, a.value));
  const rows: Row[] = newestFirst.slice(0, COLOURS).map((v, i) => ({ name: v.value, value: v.value, count: v.count, className: `seg-v${i + 1}` }));
  const older = newestFirst.slice(COLOURS);
  const rest = older.reduce((n, v) => n + v.count, 0) + (counted.other ?? 0);
  if (rest > 0) rows.push({ name: "older ones", value: older.length > 0 && !counted.other ? older.map((v) => v.value).join(",") : undefined, count: rest, className: "seg-v-rest" });
  if (counted.none) rows.push({ name: "not known yet", value: "none", count: counted.none, className: "seg-v-none" });
  return rows;
}

export function VersionBar({ counted, total }: { counted: Counted; total: number }) {
  const rows = versionRows(counted);
  return (
    <>
      <StackedBar
        height={18}
        label={rows.map((r) => `${r.name}: ${formatNumber(r.count)}`).join(", ")}
        segments={rows.map((r) => ({ key: r.name, share: total > 0 ? r.count / total : 0, className: r.className }))}
      />
      <table class="table plain versions">
        <thead class="visually-hidden">
          <tr>
            <th scope="col">Version</th>
            <th scope="col">Agents</th>
            <th scope="col">Share</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.name}>
              <th scope="row">
                <span class={`swatch ${r.className}`} aria-hidden="true" />
                {r.value === undefined ? r.name : <Link to={formatPlace("/agents", { version: r.value })}>{r.name}</Link>}
              </th>
              <td class="end">{formatNumber(r.count)}</td>
              <td class="end muted share">{formatShare(r.count, total)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
