// SPDX-License-Identifier: Apache-2.0
// Who does not take part, and why.

import type { RolloutPlan } from "../types";
import { formatNumber } from "../lib/format";
import { Link } from "./basics";

export function Excluded({ plan }: { plan: RolloutPlan }) {
  if (plan.excluded.length === 0) return null;
  return (
    <table class="table small excluded">
      <caption>Left out</caption>
      <tbody>
        {plan.excluded.map((e) => (
          <tr key={e.reason}>
            <td class="end">{formatNumber(e.count)}</td>
            <td>
              {e.reason_text}{" "}
              <span class="muted">
                {e.examples.slice(0, 3).map((id, i) => (
                  <span key={id}>
                    {i > 0 && ", "}
                    <Link to={`/agents/${id}`}>{id.slice(0, 8)}</Link>
                  </span>
                ))}
                {e.count > 3 && ", …"}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
