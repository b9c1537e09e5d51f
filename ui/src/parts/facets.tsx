// SPDX-License-Identifier: Apache-2.0
// What the agents of a list have in common, with numbers, to choose from.

import type { AgentSummary, Counted, LabelKeys } from "../types";
import { type AgentFilter, type ListName, filterParameters } from "../lib/agent-filter";
import { get } from "../lib/api";
import { formatNumber } from "../lib/format";
import { useResource } from "../lib/resource";
import { Shown } from "./basics";
import { Menu } from "./menu";

type SummaryList = "states" | "versions" | "updates" | "os" | "arch";

function values(summary: AgentSummary, list: SummaryList): Counted {
  if (list !== "states") return summary[list];
  const { online, offline, never } = summary.states;
  const all = [
    { value: "online", count: online },
    { value: "offline", count: offline },
    { value: "never", count: never },
  ];
  return { values: all };
}

function Options({ counted, chosen, onChange, word, none }: {
  counted: Counted;
  chosen: string[];
  onChange: (values: string[]) => void;
  word: (value: string) => string;
  none: boolean;
}) {
  const missing = chosen.filter((v) => v !== "none" && !counted.values.some((c) => c.value === v));
  const options = [...counted.values, ...missing.map((value) => ({ value, count: 0 }))];
  if (none && counted.none) options.push({ value: "none", count: counted.none });
  if (options.length === 0) return <p class="muted">Nothing to choose from.</p>;
  return (
    <ul class="options">
      {options.map((o) => (
        <li key={o.value}>
          <label>
            <input
              type="checkbox"
              checked={chosen.includes(o.value)}
              onChange={(e) => onChange(e.currentTarget.checked ? [...chosen, o.value] : chosen.filter((v) => v !== o.value))}
            />
            <span class="option-name">{o.value === "none" ? "None" : word(o.value)}</span>
            <span class="option-count">{formatNumber(o.count)}</span>
          </label>
        </li>
      ))}
    </ul>
  );
}

/** Numbers are those of the list as it would be without this choice. */
function FacetOptions({ filter, list, name, onChange, word }: FacetProps & { word: (v: string) => string }) {
  const parameters = filterParameters({ ...filter, [name]: [] });
  const summary = useResource(JSON.stringify(parameters), (signal) => get<AgentSummary>("/agents/summary", parameters, signal));
  return (
    <Shown of={summary}>
      {(s) => <Options counted={values(s, list)} chosen={filter[name]} onChange={onChange} word={word} none={name === "version" || name === "update"} />}
    </Shown>
  );
}

interface FacetProps {
  filter: AgentFilter;
  list: SummaryList;
  name: ListName;
  onChange: (values: string[]) => void;
}

export function FacetMenu(props: FacetProps & { title: string; word?: (value: string) => string }) {
  const { title, word = (v: string) => v, ...rest } = props;
  const chosen = rest.filter[rest.name];
  const first = chosen[0];
  const text = first === undefined ? title : `${title}: ${first === "none" ? "none" : word(first)}${chosen.length > 1 ? ` +${chosen.length - 1}` : ""}`;
  return (
    <Menu label={text} active={chosen.length > 0}>
      {() => <FacetOptions {...rest} word={word} />}
    </Menu>
  );
}

function LabelOptions({ isChosen, onToggle }: LabelProps) {
  const labels = useResource("labels", (signal) => get<LabelKeys>("/labels", {}, signal));
  return (
    <Shown of={labels}>
      {({ labels: keys, more }) =>
        keys.length === 0 ? (
          <p class="muted">No agent has a label.</p>
        ) : (
          <>
            {keys.map((k) => (
              <fieldset key={k.key} class="label-group">
                <legend>{k.key}</legend>
                <ul class="options">
                  {k.values.map((v) => (
                    <li key={v.value}>
                      <label>
                        <input type="checkbox" checked={isChosen(k.key, v.value)} onChange={() => onToggle(k.key, v.value)} />
                        <span class="option-name">{v.value}</span>
                        <span class="option-count">{formatNumber(v.count)}</span>
                      </label>
                    </li>
                  ))}
                </ul>
                {k.more && <p class="hint">There are more values; write them into the selector.</p>}
              </fieldset>
            ))}
            {more && <p class="hint">There are more labels; write them into the selector.</p>}
          </>
        )
      }
    </Shown>
  );
}

interface LabelProps {
  isChosen: (key: string, value: string) => boolean;
  onToggle: (key: string, value: string) => void;
}

export function LabelMenu(props: LabelProps) {
  return <Menu label="Labels">{() => <LabelOptions {...props} />}</Menu>;
}
