// SPDX-License-Identifier: Apache-2.0
// Bringing machines in: a fresh token, a command to paste, and the tokens that are about.

import { useState } from "preact/hooks";
import type { JoinToken } from "../types";
import { get, request } from "../lib/api";
import { enrolCommand, pinOf } from "../lib/enrol-command";
import { formatNumber, plural } from "../lib/format";
import { useReloadOn } from "../lib/live";
import { useAction, useResource } from "../lib/resource";
import { can } from "../lib/session";
import { Button, Copy, Empty, Labels, Mono, Note, Page, ProblemNote, Section, Shown, Time } from "../parts/basics";
import { Confirm } from "../parts/dialog";
import { Input, Select } from "../parts/form";
import { toast } from "../parts/toast";

const lifetimes = [
  { value: "3600", text: "1 hour" },
  { value: "86400", text: "1 day" },
  { value: "604800", text: "7 days" },
  { value: "2592000", text: "30 days" },
];

function readLabels(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split(/[\s,]+/)
      .filter((p) => p !== "")
      .map((p) => {
        const [key = "", ...value] = p.split("=");
        return [key, value.join("=")];
      }),
  );
}

function Command({ token, host, setHost }: { token: JoinToken; host: string; setHost: (host: string) => void }) {
  const secret = token.token ?? "";
  const command = enrolCommand({ host: host.trim() || location.hostname, port: location.port }, secret);
  return (
    <div class="stack">
      <Note tone="ok">
        The token is good for {plural(token.uses, "machine")} until it ends <Time at={token.expires} future />. This is the only time that it is
        shown.
      </Note>
      <Input label="How machines call this gateway" value={host} onValue={setHost} hint="Must be one of the names in Name= of gateway.conf." />
      <div class="field">
        <p class="field-title">
          Run this on the machine, with the package fleet-agent installed <Copy text={command} label="Copy the command" />
        </p>
        <pre class="command" tabIndex={0}>
          {command}
        </pre>
      </div>
      <div class="field">
        <p class="field-title">
          The token alone <Copy text={secret} label="Copy the token" />
        </p>
        <pre class="command" tabIndex={0}>
          {secret}
        </pre>
      </div>
      <p class="hint">
        It carries the pin of the gateway's certificate authority, SHA-256 <Mono>{pinOf(secret)}</Mono>: the agent fetches the certificate,
        compares, and trusts no other from then on. Compare it with <code>openssl x509 -in ca.pem -outform DER | sha256sum</code> on the gateway.
      </p>
    </div>
  );
}

function MakeToken({ onMade }: { onMade: () => void }) {
  const [uses, setUses] = useState("1");
  const [life, setLife] = useState("86400");
  const [labels, setLabels] = useState("");
  const [description, setDescription] = useState("");
  const [host, setHost] = useState(location.hostname);
  const [made, setMade] = useState<JoinToken>();
  const action = useAction();

  if (made) {
    return (
      <>
        <Command token={made} host={host} setHost={setHost} />
        <p class="below">
          <Button onClick={() => setMade(undefined)}>Make another token</Button>
        </p>
      </>
    );
  }
  return (
    <form
      class="stack"
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void action.run(async () => {
          const { data } = await request<JoinToken>("POST", "/join-tokens", {
            body: {
              uses: Number(uses),
              expires_in_sec: Number(life),
              ...(labels.trim() ? { labels: readLabels(labels) } : {}),
              ...(description.trim() ? { description: description.trim() } : {}),
            },
          });
          setMade(data);
          onMade();
        });
      }}
    >
      <div class="form-grid">
        <Input label="Machines" inputMode="numeric" value={uses} onValue={setUses} error={action.problem?.of("/uses")} />
        <Select label="Good for" value={life} onValue={setLife} options={lifetimes} />
        <Input
          label="Labels"
          mono
          placeholder="env=staging rack=4"
          hint="Given to each machine that joins with it."
          value={labels}
          onValue={setLabels}
          error={action.problem?.of("/labels")}
        />
        <Input label="Description" placeholder="rack 4" value={description} onValue={setDescription} error={action.problem?.of("/description")} />
      </div>
      {action.problem && <ProblemNote problem={action.problem} />}
      <div>
        <Button type="submit" kind="primary" busy={action.busy} disabled={!/^[1-9]\d*$/.test(uses.trim())}>
          Make a token
        </Button>
      </div>
    </form>
  );
}

function RevokeDialog({ token, onClose, onDone }: { token: JoinToken; onClose: () => void; onDone: () => void }) {
  const action = useAction();
  return (
    <Confirm
      title="Revoke this join token?"
      verb="Revoke"
      danger
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          await request("DELETE", `/join-tokens/${token.id}`);
          toast("The token was revoked.");
          onDone();
          onClose();
        })
      }
    >
      <p>
        No machine can join with <Mono>{token.id}</Mono> any more. Machines that have joined stay.
      </p>
    </Confirm>
  );
}

export default function EnrolmentPage() {
  const tokens = useResource("join-tokens", (signal) => get<{ join_tokens: JoinToken[] }>("/join-tokens", {}, signal));
  const [revoke, setRevoke] = useState<JoinToken>();
  const mayMake = can("enrolment.operate");
  useReloadOn((e) => e.event === "agent" && e.data["change"] === "enrolled", tokens.reload, 2000);
  return (
    <Page title="Enrolment">
      {mayMake && (
        <Section title="Bring machines in">
          <MakeToken onMade={tokens.reload} />
        </Section>
      )}
      <Section title="Join tokens">
        <Shown of={tokens}>
          {({ join_tokens: list }) =>
            list.length === 0 ? (
              <Empty title="There is no join token">
                <p>A token lets so many machines join, for so long; afterwards it is worth nothing.</p>
              </Empty>
            ) : (
              <div class="table-wrap">
                <table class="table">
                  <thead>
                    <tr>
                      <th scope="col">Token</th>
                      <th scope="col" class="p2">
                        Description
                      </th>
                      <th scope="col" class="end">
                        Uses left
                      </th>
                      <th scope="col" class="p3">
                        Labels
                      </th>
                      <th scope="col" class="end p2">
                        Made
                      </th>
                      <th scope="col" class="end">
                        Ends
                      </th>
                      {mayMake && (
                        <th scope="col">
                          <span class="visually-hidden">Actions</span>
                        </th>
                      )}
                    </tr>
                  </thead>
                  <tbody>
                    {list.map((t) => (
                      <tr key={t.id}>
                        <td class="mono">{t.id}</td>
                        <td class="p2">{t.description ?? (t.agent ? `for agent ${t.agent.slice(0, 8)}` : <span class="muted">–</span>)}</td>
                        <td class="end">
                          {formatNumber(t.uses_left)} <span class="muted">of {formatNumber(t.uses)}</span>
                        </td>
                        <td class="p3">
                          <Labels labels={t.labels} />
                        </td>
                        <td class="end p2">
                          <Time at={t.created} />
                        </td>
                        <td class="end">
                          <Time at={t.expires} future />
                        </td>
                        {mayMake && (
                          <td class="end">
                            <Button kind="quiet" onClick={() => setRevoke(t)} label={`Revoke ${t.id}`}>
                              Revoke…
                            </Button>
                          </td>
                        )}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            )
          }
        </Shown>
      </Section>
      {revoke && <RevokeDialog token={revoke} onClose={() => setRevoke(undefined)} onDone={tokens.reload} />}
    </Page>
  );
}
