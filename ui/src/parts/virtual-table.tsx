// SPDX-License-Identifier: Apache-2.0
// A table of which only the rows that can be seen are there. Rows have one height, so that the scroll bar is exact, nothing
// moves while data comes in, and any place can be jumped to.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";

export const ROW_HEIGHT = 34;
const OVERSCAN = 8;

export interface Column<T> {
  key: string;
  title: ComponentChildren;
  /** For who does not see the title. */
  name?: string;
  /** CSS width; one column without takes what is left. */
  width?: string;
  /** 2 and 3 are left out where there is less room. */
  priority?: 2 | 3 | 4;
  sort?: string;
  align?: "end";
  render: (row: T, index: number) => ComponentChildren;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  total: number;
  rowAt: (index: number) => T | undefined;
  rowKey: (row: T) => string;
  isChosen?: (row: T) => boolean;
  onLook: (first: number, last: number) => void;
  sort?: string;
  onSort?: (sort: string) => void;
  /** Where it was scrolled to, kept under this name. */
  memory?: string;
  stale?: boolean;
  empty?: ComponentChildren;
}

const remembered = new Map<string, number>();

function SortHead({ column, sort, onSort }: { column: { sort?: string; title: ComponentChildren }; sort: string; onSort: (s: string) => void }) {
  const up = sort === column.sort;
  const down = sort === `-${column.sort}`;
  return (
    <button type="button" class="sort" onClick={() => onSort(up ? `-${column.sort}` : (column.sort ?? ""))}>
      {column.title}
      <span class={`sort-mark ${up || down ? "on" : ""}`}>
        <Icon name={down ? "down" : "up"} size={12} />
      </span>
    </button>
  );
}

function sortState(column: { sort?: string }, sort: string | undefined): "ascending" | "descending" | "none" | undefined {
  if (!column.sort) return undefined;
  return sort === column.sort ? "ascending" : sort === `-${column.sort}` ? "descending" : "none";
}

/** Up and down go from row to row, by the first link of each. */
function moveFocus(e: KeyboardEvent): void {
  const step = e.key === "ArrowDown" || e.key === "j" ? 1 : e.key === "ArrowUp" || e.key === "k" ? -1 : 0;
  const row = e.target instanceof Element ? e.target.closest("tr[aria-rowindex]") : null;
  if (step === 0 || !row || (e.target instanceof HTMLInputElement && e.target.type !== "checkbox")) return;
  const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
  const tag = e.target instanceof HTMLInputElement ? "input" : "a";
  const target = next?.querySelector<HTMLElement>(tag);
  if (!target) return;
  e.preventDefault();
  target.focus();
  target.scrollIntoView({ block: "nearest" });
}

export function VirtualTable<T>(props: Props<T>) {
  const { columns, total, rowAt, rowKey, onLook, sort, onSort } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });

  // once there are rows to scroll
  const restored = useRef<string | undefined>(undefined);
  useLayoutEffect(() => {
    const el = scroller.current;
    const name = props.memory ?? "";
    if (!el || total === 0 || restored.current === name) return;
    restored.current = name;
    el.scrollTop = remembered.get(name) ?? 0;
    setView({ top: el.scrollTop, height: el.clientHeight });
  }, [props.memory, total]);

  useEffect(() => {
    const el = scroller.current;
    if (!el) return;
    const measure = () => setView({ top: el.scrollTop, height: el.clientHeight });
    let frame = 0;
    const onScroll = () => {
      if (props.memory && restored.current === props.memory) remembered.set(props.memory, el.scrollTop);
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(measure);
    };
    const observer = new ResizeObserver(measure);
    observer.observe(el);
    el.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
      el.removeEventListener("scroll", onScroll);
    };
  }, [props.memory]);

  const first = Math.max(0, Math.min(Math.floor(view.top / ROW_HEIGHT) - OVERSCAN, total - 1));
  const last = Math.min(total - 1, Math.ceil((view.top + view.height) / ROW_HEIGHT) + OVERSCAN);
  useEffect(() => onLook(first, Math.max(first, last)), [first, last, total, onLook]);

  const rows = [];
  for (let i = first; i <= last; i++) {
    const row = rowAt(i);
    rows.push(
      <tr key={row ? rowKey(row) : `# ${i}`} aria-rowindex={i + 2} class={row && props.isChosen?.(row) ? "chosen" : ""}>
        {columns.map((c) => (
          <td key={c.key} class={`p${c.priority ?? 1} ${c.align ?? ""}`}>
            {row ? c.render(row, i) : <span class="bone" />}
          </td>
        ))}
      </tr>,
    );
  }

  return (
    <div class={`scroller ${props.stale ? "stale" : ""}`} ref={scroller} tabIndex={0} role="region" aria-label={props.label} onKeyDown={moveFocus}>
      <table class="table virtual" aria-rowcount={total + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((c) => (
              <th
                key={c.key}
                scope="col"
                class={`p${c.priority ?? 1} ${c.align ?? ""} c-${c.key}`}
                style={c.width ? { width: c.width } : undefined}
                aria-sort={sortState(c, sort)}
              >
                {c.name && <span class="visually-hidden">{c.name}</span>}
                {c.sort && onSort ? <SortHead column={c} sort={sort ?? ""} onSort={onSort} /> : c.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 && (
            <tr class="gap" aria-hidden="true">
              <td style={{ height: `${first * ROW_HEIGHT}px` }} />
            </tr>
          )}
          {rows}
          {last < total - 1 && (
            <tr class="gap" aria-hidden="true">
              <td style={{ height: `${(total - 1 - last) * ROW_HEIGHT}px` }} />
            </tr>
          )}
        </tbody>
      </table>
      {total === 0 && props.empty}
    </div>
  );
}
