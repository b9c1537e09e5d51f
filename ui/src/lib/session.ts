// SPDX-License-Identifier: Apache-2.0
// Who is signed in, and what they may do. The gateway decides; this decides what is shown.

import type { Capability, Me } from "../types";
import { get, request, setCsrfToken, setOnSignedOut } from "./api";
import { Problem, asProblem } from "./problem";
import { createStore } from "./store";

export type Session =
  | { phase: "loading" }
  | { phase: "unreachable"; problem: Problem }
  | { phase: "setup" }
  /** ended: there was a session a moment ago. */
  | { phase: "signed-out"; ended: boolean }
  | { phase: "signed-in"; me: Me };

export const session = createStore<Session>({ phase: "loading" });

// Whether there may be a session: its cookie is not for scripts to see, and asking in vain is an error in every log.
const HINT = "fleet-session";

function hint(): boolean {
  try {
    return localStorage.getItem(HINT) !== null;
  } catch {
    return true;
  }
}

function setHint(there: boolean): void {
  try {
    if (there) localStorage.setItem(HINT, "");
    else localStorage.removeItem(HINT);
  } catch {
    // a browser that keeps nothing is asked for a session each time
  }
}

function signedIn(me: Me): void {
  setCsrfToken(me.csrf_token);
  setHint(true);
  session.set({ phase: "signed-in", me });
}

function signedOut(ended: boolean): void {
  setCsrfToken(undefined);
  setHint(false);
  session.set({ phase: "signed-out", ended });
}

setOnSignedOut(() => {
  if (session.get().phase === "signed-in") signedOut(true);
});

/** Without a session: is there anybody yet who could have one? */
async function loadDoor(): Promise<void> {
  const { needed } = await get<{ needed: boolean }>("/setup");
  const before = session.get();
  if (needed) session.set({ phase: "setup" });
  else signedOut(before.phase === "signed-out" && before.ended);
}

export async function loadSession(): Promise<void> {
  try {
    if (hint()) signedIn(await get<Me>("/me"));
    else await loadDoor();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status !== 401) session.set({ phase: "unreachable", problem: error });
    else await loadDoor().catch((e: unknown) => session.set({ phase: "unreachable", problem: asProblem(e) }));
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  signedIn((await request<Me>("POST", "/session", { body: { name, password } })).data);
}

export async function signOut(): Promise<void> {
  await request("DELETE", "/session");
  signedOut(false);
}

export async function makeFirstUser(code: string, name: string, password: string): Promise<void> {
  await request("POST", "/setup", { body: { code, name, password } });
  await signIn(name, password);
}

/** "rollouts.operate" and so on, as /me lists them. */
export function can(capability: Capability): boolean {
  const s = session.get();
  return s.phase === "signed-in" && s.me.capabilities.includes(capability);
}
