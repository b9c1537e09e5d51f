// SPDX-License-Identifier: Apache-2.0
// Who may sign in, and the tokens of programs.

import { useState } from "preact/hooks";
import type { ApiToken, Scope, User } from "../types";
import { get, request } from "../lib/api";
import { useAction, useResource } from "../lib/resource";
import { can, session } from "../lib/session";
import { useStore } from "../lib/store";
import { actorName } from "../lib/words";
import { Button, Copy, Empty, Note, Page, Section, Shown, Time } from "../parts/basics";
import { Confirm, Dialog } from "../parts/dialog";
import { Check, Choice, Input, Select } from "../parts/form";
import { Status } from "../parts/icon";
import { Menu } from "../parts/menu";
import { PASSWORD_HINT } from "../parts/password-dialog";
import { toast } from "../parts/toast";

type Role = User["role"];
const roles: { value: Role; text: string; hint: string }[] = [
  { value: "viewer", text: "Viewer", hint: "May look at everything but the audit log." },
  { value: "operator", text: "Operator", hint: "May also update, label, import releases and enrol machines." },
  { value: "admin", text: "Admin", hint: "May also manage users, remove agents and read the audit log." },
];

// ---- users ----

function NewUserDialog({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [name, setName] = useState("");
  const [display, setDisplay] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const action = useAction();
  return (
    <Confirm
      title="New user"
      verb="Make user"
      busy={action.busy}
      problem={action.problem}
      blocked={name.trim() === "" || password === ""}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          await request("POST", "/users", {
            body: { name: name.trim(), password, role, ...(display.trim() ? { display_name: display.trim() } : {}) },
          });
          toast(`${name.trim()} can sign in now.`);
          onDone();
          onClose();
        })
      }
    >
      <Input label="Name" value={name} onValue={setName} hint="Lower case letters, digits, dot, dash." error={action.problem?.of("/name")} />
      <Input label="Called" value={display} onValue={setDisplay} hint="May be left empty." error={action.problem?.of("/display_name")} />
      <Input label="Password" type="password" autocomplete="new-password" value={password} onValue={setPassword} hint={PASSWORD_HINT} error={action.problem?.of("/password")} />
      <Choice<Role> legend="Role" value={role} onValue={setRole} options={roles} />
    </Confirm>
  );
}

type UserChange = { user: User; what: "role" | "password" | "disable" | "enable" | "remove" };

const changeTitles: Record<UserChange["what"], (name: string) => string> = {
  role: (n) => `Role of ${n}`,
  password: (n) => `New password for ${n}`,
  disable: (n) => `Disable ${n}?`,
  enable: (n) => `Enable ${n}?`,
  remove: (n) => `Remove ${n}?`,
};
const changeVerbs: Record<UserChange["what"], string> = {
  role: "Change role",
  password: "Set password",
  disable: "Disable",
  enable: "Enable",
  remove: "Remove user",
};

function ChangeUserDialog({ change, onClose, onDone }: { change: UserChange; onClose: () => void; onDone: () => void }) {
  const { user, what } = change;
  const [role, setRole] = useState<Role>(user.role);
  const [password, setPassword] = useState("");
  const action = useAction();
  // what is changed is what was read just now; somebody who was faster is not overwritten
  const now = useResource(`user ${user.name}`, (signal) => request<User>("GET", `/users/${user.name}`, { signal }));
  const run = () =>
    void action.run(async () => {
      const path = `/users/${user.name}`;
      const ifMatch = now.data?.etag ? { ifMatch: now.data.etag } : {};
      if (what === "remove") await request("DELETE", path, ifMatch);
      else if (what === "password") await request("PUT", `${path}/password`, { body: { password }, ...ifMatch });
      else await request("PATCH", path, { body: what === "role" ? { role } : { disabled: what === "disable" }, ...ifMatch });
      toast(what === "remove" ? `${user.name} was removed.` : `${user.name} was changed.`);
      onDone();
      onClose();
    });
  return (
    <Confirm
      title={changeTitles[what](user.name)}
      verb={changeVerbs[what]}
      danger={what === "remove" || what === "disable"}
      busy={action.busy}
      problem={action.problem ?? now.problem}
      blocked={!now.data || (what === "password" && password === "") || (what === "role" && role === user.role)}
      onClose={onClose}
      onConfirm={run}
    >
      {what === "role" && (
        <>
          <Choice<Role> legend="Role" value={role} onValue={setRole} options={roles} />
          <p class="hint">It holds from the next request on, also for API tokens that {user.name} has made.</p>
        </>
      )}
      {what === "password" && (
        <>
          <Input label="New password" type="password" autocomplete="new-password" value={password} onValue={setPassword} hint={PASSWORD_HINT} error={action.problem?.of("/password")} />
          <p class="hint">All sessions of {user.name} end.</p>
        </>
      )}
      {what === "disable" && <p>{user.name} is signed out at once and cannot sign in; API tokens of {user.name} are refused. Nothing is lost.</p>}
      {what === "enable" && <p>{user.name} can sign in again, with the password that was; API tokens are accepted again.</p>}
      {what === "remove" && <p>{user.name} is signed out at once; API tokens that {user.name} has made go, too. Entries in the audit log stay.</p>}
    </Confirm>
  );
}

function Users({ me }: { me: string }) {
  const users = useResource("users", (signal) => get<{ users: User[] }>("/users", {}, signal));
  const [fresh, setFresh] = useState(false);
  const [change, setChange] = useState<UserChange>();
  const pick = (user: User, what: UserChange["what"], close: () => void) => () => {
    close();
    setChange({ user, what });
  };
  return (
    <Section title="Users" aside={<Button icon="enrolment" onClick={() => setFresh(true)}>New user…</Button>}>
      <Shown of={users}>
        {({ users: list }) =>
          list.length === 0 ? (
            <Empty title="There are no users">
              <p>You came in with an API token. Make a user, so that people can sign in.</p>
            </Empty>
          ) : (
            <div class="table-wrap open">
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col" class="p2">
                      Called
                    </th>
                    <th scope="col">Role</th>
                    <th scope="col">State</th>
                    <th scope="col" class="end p2">
                      Last signed in
                    </th>
                    <th scope="col">
                      <span class="visually-hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {list.map((u) => (
                    <tr key={u.name}>
                      <th scope="row">
                        {u.name} {u.name === me && <span class="tag">you</span>}
                      </th>
                      <td class="p2">{u.display_name ?? <span class="muted">–</span>}</td>
                      <td>{u.role}</td>
                      <td>{u.disabled ? <Status tone="off">Disabled</Status> : <Status tone="ok">May sign in</Status>}</td>
                      <td class="end p2">
                        <Time at={u.last_login} />
                      </td>
                      <td class="end">
                        <Menu
                          align="end"
                          label={
                            <>
                              Change<span class="visually-hidden"> {u.name}</span>
                            </>
                          }
                        >
                          {(close) => (
                            <div class="menu-list">
                              <Button kind="quiet" onClick={pick(u, "role", close)}>
                                Role…
                              </Button>
                              <Button kind="quiet" onClick={pick(u, "password", close)}>
                                Password…
                              </Button>
                              <Button kind="quiet" onClick={pick(u, u.disabled ? "enable" : "disable", close)}>
                                {u.disabled ? "Enable…" : "Disable…"}
                              </Button>
                              <Button kind="quiet" onClick={pick(u, "remove", close)}>
                                Remove…
                              </Button>
                            </div>
                          )}
                        </Menu>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Shown>
      {fresh && <NewUserDialog onClose={() => setFresh(false)} onDone={users.reload} />}
      {change && <ChangeUserDialog change={change} onClose={() => setChange(undefined)} onDone={users.reload} />}
    </Section>
  );
}

// ---- API tokens ----

const areas: Scope[] = ["agents", "rollouts", "releases", "enrolment", "tokens", "users", "audit", "backup", "events"];
const lifetimes = [
  { value: "86400", text: "1 day" },
  { value: "2592000", text: "30 days" },
  { value: "7776000", text: "90 days" },
  { value: "31536000", text: "1 year" },
];

function NewTokenDialog({ path, myRole, onClose, onDone }: { path: string; myRole: Role; onClose: () => void; onDone: () => void }) {
  const [description, setDescription] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [life, setLife] = useState("7776000");
  const [scopes, setScopes] = useState<Scope[]>([]);
  const [made, setMade] = useState<ApiToken>();
  const action = useAction();
  const rank: Role[] = ["viewer", "operator", "admin"];

  if (made) {
    return (
      <Dialog title="The token" onClose={onClose}>
        <div class="dialog-body">
          <Note tone="ok">This is the only time that it is shown.</Note>
          <pre class="command" tabIndex={0}>
            {made.token}
          </pre>
          <p>
            <Copy text={made.token ?? ""} label="Copy the token" /> Send it as <code>Authorization: Bearer …</code>, from a file that only its
            user can read.
          </p>
        </div>
        <div class="dialog-foot">
          <Button kind="primary" onClick={onClose}>
            Done
          </Button>
        </div>
      </Dialog>
    );
  }
  return (
    <Confirm
      title="New API token"
      verb="Make token"
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          const { data } = await request<ApiToken>("POST", path, {
            body: {
              role,
              expires_in_sec: Number(life),
              ...(scopes.length > 0 ? { scopes } : {}),
              ...(description.trim() ? { description: description.trim() } : {}),
            },
          });
          setMade(data);
          onDone();
        })
      }
    >
      <Input label="What it is for" value={description} onValue={setDescription} placeholder="CI" error={action.problem?.of("/description")} />
      <Choice<Role> legend="Role" value={role} onValue={setRole} options={roles.map((r) => ({ ...r, disabled: rank.indexOf(r.value) > rank.indexOf(myRole) }))} />
      <Select label="Good for" value={life} onValue={setLife} options={lifetimes} error={action.problem?.of("/expires_in_sec")} />
      <fieldset>
        <legend>For these areas alone</legend>
        <p class="hint">None chosen: for all that the role allows.</p>
        <div class="area-grid">
          {areas.map((a) => (
            <Check key={a} label={a} checked={scopes.includes(a)} onChecked={(on) => setScopes(on ? [...scopes, a] : scopes.filter((s) => s !== a))} />
          ))}
        </div>
      </fieldset>
    </Confirm>
  );
}

function RevokeDialog({ token, path, onClose, onDone }: { token: ApiToken; path: string; onClose: () => void; onDone: () => void }) {
  const action = useAction();
  return (
    <Confirm
      title="Revoke this API token?"
      verb="Revoke"
      danger
      busy={action.busy}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() =>
        void action.run(async () => {
          await request("DELETE", `${path}/${token.id}`);
          toast("The token was revoked.");
          onDone();
          onClose();
        })
      }
    >
      <p>
        Whoever uses {token.description ? `“${token.description}”` : <span class="mono">{token.id}</span>} is refused from the next request on.
      </p>
    </Confirm>
  );
}

function Tokens({ all, myRole }: { all: boolean; myRole: Role }) {
  const path = all ? "/api-tokens" : "/me/tokens";
  const tokens = useResource(path, (signal) => get<{ api_tokens: ApiToken[] }>(path, {}, signal));
  const [fresh, setFresh] = useState(false);
  const [revoke, setRevoke] = useState<ApiToken>();
  return (
    <Section title={all ? "API tokens" : "Your API tokens"} aside={<Button icon="enrolment" onClick={() => setFresh(true)}>New token…</Button>}>
      <Shown of={tokens}>
        {({ api_tokens: list }) =>
          list.length === 0 ? (
            <Empty title="There is no API token">
              <p>Programs and fleet-gatewayctl show one instead of signing in.</p>
            </Empty>
          ) : (
            <div class="table-wrap">
              <table class="table">
                <thead>
                  <tr>
                    <th scope="col">Token</th>
                    <th scope="col">For</th>
                    <th scope="col">Role</th>
                    <th scope="col" class="p3">
                      Areas
                    </th>
                    {all && (
                      <th scope="col" class="p2">
                        Owner
                      </th>
                    )}
                    <th scope="col" class="end p2">
                      Last used
                    </th>
                    <th scope="col" class="end">
                      Ends
                    </th>
                    <th scope="col">
                      <span class="visually-hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {list.map((t) => (
                    <tr key={t.id}>
                      <td class="mono">{t.id}</td>
                      <td>{t.description ?? <span class="muted">–</span>}</td>
                      <td>{t.role}</td>
                      <td class="p3">{t.scopes ? t.scopes.join(", ") : "all"}</td>
                      {all && <td class="p2">{actorName(t.owner ?? "gateway")}</td>}
                      <td class="end p2">{t.last_used ? <Time at={t.last_used} /> : <span class="muted">never</span>}</td>
                      <td class="end">{t.expires ? <Time at={t.expires} future /> : <span class="muted">never</span>}</td>
                      <td class="end">
                        <Button kind="quiet" onClick={() => setRevoke(t)} label={`Revoke ${t.description ?? t.id}`}>
                          Revoke…
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Shown>
      {fresh && <NewTokenDialog path={path} myRole={myRole} onClose={() => setFresh(false)} onDone={tokens.reload} />}
      {revoke && <RevokeDialog token={revoke} path={path} onClose={() => setRevoke(undefined)} onDone={tokens.reload} />}
    </Section>
  );
}

export default function PeoplePage() {
  const s = useStore(session);
  if (s.phase !== "signed-in") return null;
  return (
    <Page title="Users and tokens">
      {can("users.administer") && <Users me={s.me.name} />}
      <Tokens all={can("tokens.administer")} myRole={s.me.role} />
    </Page>
  );
}
