// SPDX-License-Identifier: Apache-2.0
// All agents: found, filtered, sorted, selected, and acted upon.

import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import type { AgentRow, AgentRowPage, AgentSummary, Update } from "../types";
import {
  type AgentFilter,
  type ListName,
  filterParameters,
  filterQuery,
  isFiltered,
  readFilter,
  tidyTerms,
} from "../lib/agent-filter";
import { get, getText } from "../lib/api";
import { formatNumber, plural, shortId } from "../lib/format";
import { type FleetEvent } from "../lib/coalesce";
import { useEvents, useReloadOn } from "../lib/live";
import { PageCache } from "../lib/page-cache";
import { useAction, useResource, useSettled } from "../lib/resource";
import { changeQuery, formatPlace, navigate, usePlace } from "../lib/router";
import { chosenValues, toggleValue } from "../lib/selector-text";
import { setSearchField } from "../lib/search";
import { can } from "../lib/session";
import type { Selection } from "../lib/targets";
import { agentState, phase } from "../lib/words";
import { Button, Empty, Link, Page, ProblemNote, Time } from "../parts/basics";
import { FacetMenu, LabelMenu } from "../parts/facets";
import { Icon, Status } from "../parts/icon";
import { LabelsDialog } from "../parts/labels-dialog";
import { toast } from "../parts/toast";
import { UpdateDialog } from "../parts/update-dialog";
import { type Column, VirtualTable } from "../parts/virtual-table";

const PAGE_SIZE = 200;

/** What an event says of an agent, for the row that is shown. */
function patchRow(row: AgentRow, batch: Map<string, FleetEvent[]>): AgentRow | undefined {
  const events = batch.get(row.id);
  if (!events) return undefined;
  let next = row;
  for (const e of events) {
    const d = e.data;
    if (e.event === "agent") {
      const { update_phase, update_version, hostname, os, arch, kernel } = next;
      const facts = (d["facts"] ?? {}) as Record<string, string>;
      next = {
        ...(d as unknown as AgentRow),
        ...(update_phase ? { update_phase } : {}),
        ...(update_version ? { update_version } : {}),
        ...optional({
          hostname: facts["hostname"] ?? hostname,
          os: facts["os"] ?? os,
          arch: facts["arch"] ?? arch,
          kernel: facts["kernel"] ?? kernel,
        }),
      };
    } else next = { ...next, update_phase: (d as unknown as Update).phase, update_version: (d as unknown as Update).version };
  }
  return next;
}

function optional(values: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((p): p is [string, string] => p[1] !== undefined));
}

function byAgent(batch: FleetEvent[]): Map<string, FleetEvent[]> {
  const map = new Map<string, FleetEvent[]>();
  for (const e of batch) {
    const id = e.event === "agent" ? e.data["id"] : e.event === "update" ? e.data["agent"] : undefined;
    if (typeof id !== "string" || e.data["change"] === "removed") continue;
    const list = map.get(id);
    if (list) list.push(e);
    else map.set(id, [e]);
  }
  return map;
}

function useRows(filter: AgentFilter, sort: string) {
  const [, render] = useReducer<number, undefined>((n) => n + 1, 0);
  const parameters = filterParameters(filter);
  const key = JSON.stringify([parameters, sort]);
  const shown = useRef<PageCache<AgentRow> | undefined>(undefined);
  const coming = useRef<{ key: string; cache: PageCache<AgentRow> } | undefined>(undefined);

  if (coming.current?.key !== key) {
    if (coming.current && coming.current.cache !== shown.current) coming.current.cache.dispose();
    const cache: PageCache<AgentRow> = new PageCache<AgentRow>(
      PAGE_SIZE,
      async (offset, limit, signal) => {
        const page = await get<AgentRowPage>("/agents", { ...parameters, sort, fields: "narrow", limit, offset }, signal);
        return { rows: page.agents, total: page.total };
      },
      () => {
        // what was there stays until the new list has come, or is known to be impossible
        if (coming.current?.cache === cache && shown.current !== cache && cache.total !== undefined) {
          shown.current?.dispose();
          shown.current = cache;
        }
        render(undefined);
      },
    );
    coming.current = { key, cache };
  }
  const { cache } = coming.current;
  useEffect(() => cache.look(0, 50), [cache]);
  useEffect(
    () => () => {
      coming.current?.cache.dispose();
      shown.current?.dispose();
    },
    [],
  );
  return { rows: shown.current ?? cache, current: cache, stale: shown.current !== undefined && shown.current !== cache };
}

function SearchField({ filter, change }: { filter: AgentFilter; change: (f: Partial<AgentFilter>) => void }) {
  const [text, setText] = useState(filter.q);
  const settled = useSettled(text, 250);
  useEffect(() => setText(filter.q), [filter.q]);
  useEffect(() => {
    if (tidyTerms(settled) !== filter.q && settled === text) change({ q: tidyTerms(settled) });
  }, [settled]);
  return (
    <div class="search">
      <Icon name="search" />
      <input
        ref={setSearchField}
        type="text"
        aria-label="Search by host name or id"
        aria-keyshortcuts="/"
        placeholder="Host names or ids; paste several"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onPaste={(e) => {
          // a field of one line would run the names together
          const pasted = e.clipboardData?.getData("text") ?? "";
          if (!/[\r\n]/.test(pasted)) return;
          e.preventDefault();
          setText(tidyTerms(`${text} ${pasted}`));
        }}
        onKeyDown={(e) => {
          if (e.key === "Enter") change({ q: tidyTerms(text) });
          if (e.key === "Escape") {
            setText("");
            change({ q: "" });
          }
        }}
      />
      <kbd>/</kbd>
    </div>
  );
}

function SelectorField({ filter, change, error }: {
  filter: AgentFilter;
  change: (f: Partial<AgentFilter>) => void;
  error: string | undefined;
}) {
  const [text, setText] = useState(filter.selector);
  const settled = useSettled(text, 300);
  useEffect(() => setText(filter.selector), [filter.selector]);
  useEffect(() => {
    if (settled.trim() !== filter.selector && settled === text) change({ selector: settled.trim() });
  }, [settled]);
  return (
    <div class={`selector-field ${error ? "wrong" : ""}`}>
      <input
        type="text"
        class="mono"
        aria-label="Selector"
        aria-invalid={error ? true : undefined}
        aria-describedby={error ? "selector-error" : undefined}
        placeholder="Selector: env=production,tier in (web,db)"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === "Enter") change({ selector: text.trim() });
          if (e.key === "Escape") {
            setText("");
            change({ selector: "" });
          }
        }}
      />
      {error && (
        <p class="pop-error" id="selector-error" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

const SORT_DEFAULT = "hostname";

function columns(
  selected: Set<string>,
  all: boolean,
  toggle: (row: AgentRow, index: number, extend: boolean) => void,
  mayAct: boolean,
): Column<AgentRow>[] {
  const box: Column<AgentRow> = {
    key: "box",
    title: "",
    name: "Selected",
    width: "36px",
    render: (a, index) => (
      <input
        type="checkbox"
        aria-label={`Select ${a.hostname ?? a.id}`}
        checked={all || selected.has(a.id)}
        disabled={all}
        onClick={(e) => toggle(a, index, e.shiftKey)}
      />
    ),
  };
  return [
    ...(mayAct ? [box] : []),
    {
      key: "host",
      title: "Host",
      sort: "hostname",
      render: (a) => (
        <span class="host">
          <Link to={`/agents/${a.id}`}>{a.hostname ?? shortId(a.id)}</Link>
          {a.pinned && (
            <span class="tag" title="The machine's owner holds its version">
              pinned
            </span>
          )}
          {a.clone_suspected && (
            <span class="tag bad" title="Two machines use this id in turn: one was probably cloned">
              clone?
            </span>
          )}
        </span>
      ),
    },
    {
      key: "state",
      title: "State",
      sort: "state",
      width: "108px",
      render: (a) => <Status tone={agentState(a.state).tone}>{agentState(a.state).text}</Status>,
    },
    { key: "version", title: "Version", sort: "version", width: "100px", render: (a) => a.version ?? <span class="muted">–</span> },
    {
      key: "update",
      title: "Last update",
      sort: "update",
      width: "190px",
      priority: 2,
      render: (a) =>
        a.update_phase ? (
          <span class="pair">
            <Status tone={phase(a.update_phase).tone}>{phase(a.update_phase).text}</Status>
            <span class="muted">{a.update_version}</span>
          </span>
        ) : (
          <span class="muted">–</span>
        ),
    },
    { key: "os", title: "System", sort: "os", width: "90px", priority: 3, render: (a) => a.os ?? <span class="muted">–</span> },
    { key: "arch", title: "Arch", sort: "arch", width: "84px", priority: 4, render: (a) => a.arch ?? <span class="muted">–</span> },
    {
      key: "labels",
      title: "Labels",
      width: "22%",
      priority: 3,
      render: (a) => (
        <span class="label-line">
          {Object.entries(a.labels)
            .map(([k, v]) => `${k}=${v}`)
            .join("  ")}
        </span>
      ),
    },
    { key: "seen", title: "Last seen", sort: "last_seen", width: "96px", priority: 2, align: "end", render: (a) => <Time at={a.last_seen} /> },
  ];
}

export default function AgentsPage() {
  const { query, entry } = usePlace();
  const filter = useMemo(() => readFilter(query), [query]);
  const sort = query.get("sort") ?? SORT_DEFAULT;
  const { rows, current, stale } = useRows(filter, sort);
  const [selected, setSelected] = useState<Set<string>>(new Set());
  const [all, setAll] = useState(false);
  const [dialog, setDialog] = useState<"latest" | "version" | "labels">();
  const anchor = useRef<number | undefined>(undefined);
  const exporting = useAction();

  const filterKey = JSON.stringify(filter);
  const summary = useResource(`summary ${filterKey}`, (signal) =>
    get<AgentSummary>("/agents/summary", filterParameters(filter), signal),
  );

  // another filter, another list: what was selected in the one before is gone
  useEffect(() => {
    setSelected(new Set());
    setAll(false);
    anchor.current = undefined;
  }, [filterKey]);

  useEvents((batch) => {
    const map = byAgent(batch);
    if (map.size > 0) current.patch((row) => patchRow(row, map));
  });
  useReloadOn(
    (e) => e.event === "agent" || e.event === "update" || e.event === "labels",
    () => {
      current.refresh();
      summary.reload();
    },
    5000,
  );

  const change = useCallback((part: Partial<AgentFilter>) => {
    changeQuery(filterQuery({ ...readFilter(new URLSearchParams(location.search)), ...part }), { replace: "q" in part || "selector" in part });
  }, []);
  const setList = (name: ListName) => (values: string[]) => change({ [name]: values });

  const toggle = (row: AgentRow, index: number, extend: boolean) => {
    const next = new Set(selected);
    const on = !next.has(row.id);
    const from = extend && anchor.current !== undefined ? Math.min(anchor.current, index) : index;
    const to = extend && anchor.current !== undefined ? Math.max(anchor.current, index) : index;
    for (let i = from; i <= to; i++) {
      const id = rows.at(i)?.id;
      if (id) next[on ? "add" : "delete"](id);
    }
    anchor.current = index;
    setSelected(next);
  };
  const clear = () => {
    setSelected(new Set());
    setAll(false);
  };
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key === "Escape" && !document.querySelector("dialog[open]") && !(e.target instanceof HTMLInputElement && e.target.type === "text")) clear();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const look = useCallback((first: number, last: number) => current.look(first, last), [current]);
  const total = rows.total ?? 0;
  const mayAct = can("rollouts.operate") || can("agents.operate");
  const problem = current.problem;
  const selectorError = problem?.kind === "bad-selector" ? problem.message : undefined;
  const selection: Selection = all ? { kind: "all", filter } : { kind: "ids", ids: [...selected] };
  const count = all ? total : selected.size;

  const exportCsv = () =>
    exporting.run(async () => {
      const blob = await getText("/agents", { ...filterParameters(filter), sort }, "text/csv");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `agents-${new Date().toISOString().slice(0, 10)}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
      toast(`Exported ${plural(total, "agent")}.`);
    });

  return (
    <Page
      title="Agents"
      aside={
        <Button icon="download" onClick={exportCsv} busy={exporting.busy} disabled={total === 0}>
          Export CSV
        </Button>
      }
    >
      <div class="filters">
        <SearchField filter={filter} change={change} />
        <SelectorField filter={filter} change={change} error={selectorError} />
        <div class="facets">
          <FacetMenu title="State" list="states" filter={filter} name="state" onChange={setList("state")} word={(v) => agentState(v).text} />
          <FacetMenu title="Version" list="versions" filter={filter} name="version" onChange={setList("version")} />
          <FacetMenu title="Update" list="updates" filter={filter} name="update" onChange={setList("update")} word={(v) => phase(v).text} />
          <FacetMenu title="System" list="os" filter={filter} name="os" onChange={setList("os")} />
          <FacetMenu title="Arch" list="arch" filter={filter} name="arch" onChange={setList("arch")} />
          <LabelMenu
            isChosen={(k, v) => chosenValues(filter.selector, k).includes(v)}
            onToggle={(k, v) => change({ selector: toggleValue(filter.selector, k, v) })}
          />
          {filter.group && (
            <Button icon="close" onClick={() => change({ group: "" })}>
              Group {filter.group}
            </Button>
          )}
          {isFiltered(filter) && (
            <Button kind="quiet" onClick={() => navigate(formatPlace("/agents", { sort: query.get("sort") ?? undefined }))}>
              Clear filters
            </Button>
          )}
        </div>
      </div>
      {exporting.problem && <ProblemNote problem={exporting.problem} />}
      {problem && !selectorError && <ProblemNote problem={problem} onRetry={() => current.refresh()} />}

      <div class={`list-bar ${count > 0 ? "acting" : ""}`}>
        {count === 0 ? (
          <>
            <span class="list-total" role="status">
              {rows.total === undefined ? "Loading…" : plural(total, "agent")}
              {isFiltered(filter) && rows.total !== undefined && " match"}
            </span>
            {summary.data && !summary.outdated && total > 0 && (
              <span class="muted list-more">
                {formatNumber(summary.data.states.online)} online · {formatNumber(summary.data.states.offline)} offline
                {summary.data.states.never > 0 && ` · ${formatNumber(summary.data.states.never)} never seen`}
              </span>
            )}
            <span class="grow" />
            {mayAct && total > 0 && (
              <Button kind="quiet" onClick={() => setAll(true)}>
                {isFiltered(filter) ? `Select all ${formatNumber(total)} matching` : `Select all ${formatNumber(total)}`}
              </Button>
            )}
          </>
        ) : (
          <>
            <strong class="list-total" role="status">
              {all ? `All ${formatNumber(total)}${isFiltered(filter) ? " matching" : " agents"}` : `${plural(count, "agent")} selected`}
            </strong>
            <Button kind="quiet" icon="close" onClick={clear}>
              Clear
            </Button>
            <span class="grow" />
            {can("agents.operate") && <Button onClick={() => setDialog("labels")}>Labels…</Button>}
            {can("rollouts.operate") && (
              <>
                <Button onClick={() => setDialog("version")}>Set version…</Button>
                <Button kind="primary" onClick={() => setDialog("latest")}>
                  Upgrade to latest…
                </Button>
              </>
            )}
          </>
        )}
      </div>
      <VirtualTable
        label="Agents"
        columns={columns(selected, all, toggle, mayAct)}
        total={total}
        rowAt={(i) => rows.at(i)}
        rowKey={(a) => a.id}
        isChosen={(a) => all || selected.has(a.id)}
        onLook={look}
        sort={sort}
        onSort={(s) => changeQuery({ sort: s === SORT_DEFAULT ? undefined : s })}
        memory={`agents ${entry} ${filterKey} ${sort}`}
        stale={stale || problem !== undefined}
        empty={
          isFiltered(filter) ? (
            <Empty title="No agent matches">
              <p>Loosen the filters, or look for the beginning of a host name or id.</p>
            </Empty>
          ) : (
            <Empty title="No agent has enrolled yet">
              <p>
                <Link to="/enrolment">Enrolment</Link> gives you a command to run on the first machine.
              </p>
            </Empty>
          )
        }
      />
      {dialog === "labels" && <LabelsDialog selection={selection} onClose={() => setDialog(undefined)} />}
      {(dialog === "latest" || dialog === "version") && (
        <UpdateDialog selection={selection} latest={dialog === "latest"} onClose={() => setDialog(undefined)} />
      )}
    </Page>
  );
}
