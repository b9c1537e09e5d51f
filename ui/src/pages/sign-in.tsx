// SPDX-License-Identifier: Apache-2.0
// The door: signing in, and the very first user.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Problem } from "../lib/problem";
import { useAction } from "../lib/resource";
import { makeFirstUser, signIn } from "../lib/session";
import { Button, Note, ProblemNote } from "../parts/basics";
import { Input } from "../parts/form";
import { PASSWORD_HINT } from "../parts/password-dialog";

function Door({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} – Fleet`;
  }, [title]);
  return (
    <main class="door">
      <div class="door-box">
        <p class="brand">
          <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" class="brand-box" />
            <path d="M8 9h16v4H8zM8 15h11v4H8zM8 21h6v4H8z" class="brand-bars" />
          </svg>
          Fleet
        </p>
        <h1>{title}</h1>
        {children}
        <p class="door-host muted">{location.host}</p>
      </div>
    </main>
  );
}

function Wait({ problem }: { problem: Problem }) {
  const [left, setLeft] = useState(problem.retryAfter ?? 0);
  useEffect(() => setLeft(problem.retryAfter ?? 0), [problem]);
  useEffect(() => {
    if (left <= 0) return;
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left]);
  return left > 0 ? (
    <Note tone="warn">Too many attempts. Try again in {left} s.</Note>
  ) : (
    <Note tone="info">You can try again now.</Note>
  );
}

function Refused({ problem }: { problem: Problem }) {
  if (problem.kind === "too-many-attempts") return <Wait problem={problem} />;
  if (problem.kind === "bad-credentials") return <Note tone="bad">{problem.message}</Note>;
  return <ProblemNote problem={problem} />;
}

export function SignIn({ ended }: { ended: boolean }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const action = useAction();
  return (
    <Door title="Sign in">
      {ended && !action.problem && <Note tone="info">Your session has ended. Sign in to go on where you were.</Note>}
      <form
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          void action.run(() => signIn(name.trim(), password));
        }}
      >
        <Input label="Name" value={name} onValue={setName} name="username" autocomplete="username" autoFocus required />
        <Input label="Password" type="password" value={password} onValue={setPassword} name="password" autocomplete="current-password" required />
        {action.problem && (
          <div role="alert">
            <Refused problem={action.problem} />
          </div>
        )}
        <Button type="submit" kind="primary" busy={action.busy} disabled={name.trim() === "" || password === ""}>
          Sign in
        </Button>
      </form>
    </Door>
  );
}

export function FirstRun() {
  const [code, setCode] = useState("");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const action = useAction();
  const differs = again !== "" && again !== password;
  return (
    <Door title="Make the first user">
      <p>
        This gateway has no users yet. When it started it wrote a one-time code into its journal, and into the file{" "}
        <code>setup-code</code> of its state directory:
      </p>
      <pre class="command">sudo cat /var/lib/fleet-gateway/setup-code</pre>
      <form
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          void action.run(() => makeFirstUser(code, name.trim(), password));
        }}
      >
        <Input label="One-time code" mono value={code} onValue={setCode} placeholder="xxxx-xxxx-xxxx-xxxx-xxxx" autoFocus error={action.problem?.of("/code")} />
        <Input
          label="Name"
          value={name}
          onValue={setName}
          name="username"
          autocomplete="username"
          hint="Lower case letters, digits, dot, dash. This user will be an admin."
          error={action.problem?.of("/name")}
        />
        <Input label="Password" type="password" value={password} onValue={setPassword} autocomplete="new-password" hint={PASSWORD_HINT} error={action.problem?.of("/password")} />
        <Input label="Password, again" type="password" value={again} onValue={setAgain} autocomplete="new-password" error={differs ? "The two are not the same." : undefined} />
        {action.problem && !action.problem.body.errors?.length && (
          <div role="alert">
            <Refused problem={action.problem} />
          </div>
        )}
        <Button type="submit" kind="primary" busy={action.busy} disabled={code.trim() === "" || name.trim() === "" || password === "" || again !== password}>
          Make the first user
        </Button>
      </form>
    </Door>
  );
}
