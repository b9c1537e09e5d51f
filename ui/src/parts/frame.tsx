// SPDX-License-Identifier: Apache-2.0
// What is around every page: where one can go, whether what is seen is live, who one is.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Capability, Me } from "../types";
import { useNow } from "../lib/clock";
import { formatSpan } from "../lib/format";
import { live } from "../lib/live";
import { useAction } from "../lib/resource";
import { usePlace } from "../lib/router";
import { searchAgents } from "../lib/search";
import { can, signOut } from "../lib/session";
import { useStore } from "../lib/store";
import { type Theme, applyTheme, theme } from "../lib/theme";
import { Button, Link } from "./basics";
import { Icon, type IconName } from "./icon";
import { Menu } from "./menu";
import { PasswordDialog } from "./password-dialog";
import { Toasts } from "./toast";

interface Entry {
  to: string;
  text: string;
  icon: IconName;
  needs: Capability;
}

const entries: Entry[] = [
  { to: "/", text: "Overview", icon: "overview", needs: "agents.view" },
  { to: "/agents", text: "Agents", icon: "agents", needs: "agents.view" },
  { to: "/rollouts", text: "Rollouts", icon: "rollouts", needs: "rollouts.view" },
  { to: "/releases", text: "Releases", icon: "releases", needs: "releases.view" },
  { to: "/enrolment", text: "Enrolment", icon: "enrolment", needs: "enrolment.view" },
  { to: "/people", text: "Users and tokens", icon: "people", needs: "tokens.view" },
  { to: "/audit", text: "Audit", icon: "audit", needs: "audit.administer" },
];

/** "/" searches agents, from every page. */
function useSearchKey(): void {
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const typing = e.target instanceof HTMLElement && e.target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
      if (e.key !== "/" || typing || e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
      e.preventDefault();
      searchAgents();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

/** A short break is not worth a word. */
const PATIENCE = 3000;

function isHere(to: string, path: string): boolean {
  return to === "/" ? path === "/" : path === to || path.startsWith(`${to}/`);
}

function LiveMark() {
  const { state } = useStore(live);
  const text = { connecting: "Connecting", live: "Live", lost: "Not live" }[state];
  return (
    <span class={`live ${state}`} role="status" title={state === "live" ? "Changes are shown as they happen" : "Changes are not shown at the moment"}>
      <span class="live-dot" aria-hidden="true" />
      {text}
    </span>
  );
}

function StaleBanner() {
  const { state, since } = useStore(live);
  const now = useNow();
  const stale = state !== "live" && now - since > PATIENCE;
  return (
    <div class="stale-room" role="alert">
      {stale && (
        <div class="stale-banner">
          <Icon name="warning" />
          <span>
            <strong>What you see may be out of date.</strong> The connection to the gateway was lost {formatSpan((now - since) / 1000)} ago;
            it is tried again all the time.
          </span>
        </div>
      )}
    </div>
  );
}

const themes: { value: Theme; text: string; icon: IconName }[] = [
  { value: "auto", text: "As the system", icon: "auto" },
  { value: "light", text: "Light", icon: "sun" },
  { value: "dark", text: "Dark", icon: "moon" },
];

function UserMenu({ me }: { me: Me }) {
  const current = useStore(theme);
  const action = useAction();
  const [password, setPassword] = useState(false);
  return (
    <>
      <Menu
        className="user-menu"
        label={
          <>
            <Icon name="people" />
            <span class="user-name">{me.display_name ?? me.name}</span>
          </>
        }
      >
        {(close) => (
          <div class="user-panel">
            <p class="user-who">
              <strong>{me.display_name ?? me.name}</strong>
              <span class="muted">{me.role}</span>
            </p>
            <div class="theme-choice" role="group" aria-label="Theme">
              {themes.map((t) => (
                <Button key={t.value} icon={t.icon} label={t.text} title={t.text} pressed={current === t.value} onClick={() => applyTheme(t.value)} />
              ))}
            </div>
            {me.kind === "user" && (
              <Button
                kind="quiet"
                onClick={() => {
                  close();
                  setPassword(true);
                }}
              >
                Change password…
              </Button>
            )}
            <Button kind="quiet" busy={action.busy} onClick={() => void action.run(signOut)}>
              Sign out
            </Button>
          </div>
        )}
      </Menu>
      {password && <PasswordDialog onClose={() => setPassword(false)} />}
    </>
  );
}

export function Frame({ me, children }: { me: Me; children: ComponentChildren }) {
  const { path } = usePlace();
  const [open, setOpen] = useState(false);
  useSearchKey();
  useEffect(() => setOpen(false), [path]);
  const shown = entries.filter((e) => can(e.needs) || (e.needs === "tokens.view" && can("users.administer")));
  return (
    <div class="frame">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <header class="side">
        <div class="side-head">
          <Link to="/" class="brand">
            <svg width="20" height="20" viewBox="0 0 32 32" aria-hidden="true">
              <rect width="32" height="32" rx="7" class="brand-box" />
              <path d="M8 9h16v4H8zM8 15h11v4H8zM8 21h6v4H8z" class="brand-bars" />
            </svg>
            Fleet
          </Link>
          <button type="button" class="button quiet bare nav-button" aria-label="Menu" aria-expanded={open} aria-controls="nav" onClick={() => setOpen(!open)}>
            <Icon name="menu" />
          </button>
        </div>
        <nav id="nav" class={open ? "open" : ""} aria-label="Pages">
          <ul>
            {shown.map((e) => (
              <li key={e.to}>
                <Link to={e.to} aria-current={isHere(e.to, path) ? "page" : undefined}>
                  <Icon name={e.icon} />
                  {e.text}
                </Link>
              </li>
            ))}
          </ul>
          <div class="side-foot">
            <LiveMark />
            <UserMenu me={me} />
          </div>
        </nav>
      </header>
      <main id="main" class="main">
        {children}
      </main>
      <StaleBanner />
      <Toasts />
    </div>
  );
}
