// SPDX-License-Identifier: Apache-2.0
// Who is signed in, and what they may do. The gateway decides; this decides what is shown.

import type { Me } from "../types";
import { get, request, setCsrfToken, setOnSignedOut } from "./api";
import { Problem } from "./problem";
import { createStore } from "./store";

export type Session =
  | { phase: "loading" }
  | { phase: "unreachable"; problem: Problem }
  | { phase: "setup" }
  /** ended: there was a session a moment ago. */
  | { phase: "signed-out"; ended: boolean }
  | { phase: "signed-in"; me: Me };

export const session = createStore<Session>({ phase: "loading" });

function signedIn(me: Me): void {
  setCsrfToken(me.csrf_token);
  session.set({ phase: "signed-in", me });
}

setOnSignedOut(() => {
  if (session.get().phase !== "signed-in") return;
  setCsrfToken(undefined);
  session.set({ phase: "signed-out", ended: true });
});

export async function loadSession(): Promise<void> {
  try {
    signedIn(await get<Me>("/me"));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status !== 401) {
      session.set({ phase: "unreachable", problem: error });
      return;
    }
    const { needed } = await get<{ needed: boolean }>("/setup");
    const before = session.get();
    const ended = before.phase === "signed-out" && before.ended;
    session.set(needed ? { phase: "setup" } : { phase: "signed-out", ended });
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  signedIn((await request<Me>("POST", "/session", { body: { name, password } })).data);
}

export async function signOut(): Promise<void> {
  await request("DELETE", "/session");
  setCsrfToken(undefined);
  session.set({ phase: "signed-out", ended: false });
}

export async function makeFirstUser(code: string, name: string, password: string): Promise<void> {
  await request("POST", "/setup", { body: { code, name, password } });
  await signIn(name, password);
}

/** "rollouts.operate" and so on, as /me lists them. */
export function can(capability: string): boolean {
  const s = session.get();
  return s.phase === "signed-in" && s.me.capabilities.includes(capability);
}
