// SPDX-License-Identifier: Apache-2.0
// Whom something was for, as the gateway puts it in few words.

import { shortId } from "../lib/format";
import { Link, Mono } from "./basics";

export function Whom({ text }: { text: string | undefined }) {
  const agent = /^agent (\S+)$/.exec(text ?? "")?.[1];
  if (agent) return <Link to={`/agents/${agent}`}>agent {shortId(agent)}</Link>;
  if (/^(all agents|[\d,]+ agents?|group \S+)$/.test(text ?? "")) return <>{text}</>;
  return <Mono>{text ?? ""}</Mono>;
}
