// SPDX-License-Identifier: Apache-2.0
// Events for the pages. A browser allows six connections to one server, and an event stream takes one: so of all tabs,
// the one that holds a lock has the stream, and tells the others over a channel. When it is closed, the next one goes on
// from the event that it heard last.

import { useEffect, useRef } from "preact/hooks";
import { Coalescer, type FleetEvent } from "./coalesce";
import { createStore } from "./store";
import { readEvents } from "./stream";
import { loadSession } from "./session";

export type LiveState = "connecting" | "live" | "lost";
export interface Live {
  state: LiveState;
  /** When it came to be so; milliseconds of the clock. */
  since: number;
}

/** Rendered at most four times a second. */
const INTERVAL = 250;

type Message =
  | { kind: "events"; events: FleetEvent[]; lastId: string }
  | { kind: "state"; state: LiveState; since: number }
  | { kind: "hello" };

export const live = createStore<Live>({ state: "connecting", since: Date.now() });

const listeners = new Set<(batch: FleetEvent[]) => void>();
let missed = false;

const coalescer = new Coalescer(INTERVAL, (batch) => {
  // nobody looks: when somebody does, lists are read again
  if (document.hidden) {
    missed = true;
    return;
  }
  for (const listener of [...listeners]) listener(batch);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden || !missed) return;
  missed = false;
  coalescer.push([{ event: "reset", data: {} }]);
});

function setState(state: LiveState, since = Date.now()): void {
  if (live.get().state !== state) live.set({ state, since });
}

let stop: AbortController | undefined;

/** While somebody is signed in. */
export function startLive(sessionName: string): void {
  stopLive();
  const control = new AbortController();
  stop = control;
  let lastId = "";
  let leads = false;
  const channel = new BroadcastChannel(`fleet-events ${sessionName}`);
  const tell = (message: Message) => channel.postMessage(message);

  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.kind === "hello") {
      if (leads) tell({ kind: "state", state: live.get().state, since: live.get().since });
    } else if (leads) return;
    else if (data.kind === "state") setState(data.state, data.since);
    else {
      lastId = data.lastId;
      setState("live");
      coalescer.push(data.events);
    }
  };
  control.signal.addEventListener("abort", () => {
    channel.close();
    coalescer.stop();
  });
  tell({ kind: "hello" });

  const announce = (state: LiveState) => {
    setState(state);
    tell({ kind: "state", state, since: live.get().since });
  };
  const lead = async () => {
    leads = true;
    await readEvents(
      () => lastId,
      {
        onConnected() {
          // without an id to go on from, nothing tells what happened since the lists were read
          if (lastId === "") {
            const reset = [{ event: "reset", data: {} }];
            tell({ kind: "events", events: reset, lastId });
            coalescer.push(reset);
          }
          announce("live");
        },
        onEvents(events, id) {
          lastId = id;
          if (events.length === 0) return;
          tell({ kind: "events", events, lastId });
          coalescer.push(events);
        },
        onLost: () => announce("lost"),
        onRefused: () => void loadSession(),
      },
      control.signal,
    );
  };
  navigator.locks.request(`fleet-events ${sessionName}`, { signal: control.signal }, lead).catch(() => undefined);
}

export function stopLive(): void {
  stop?.abort();
  stop = undefined;
  live.set({ state: "connecting", since: Date.now() });
}

export function subscribe(listener: (batch: FleetEvent[]) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls back with what came, while the page is there. */
export function useEvents(listener: (batch: FleetEvent[]) => void): void {
  const current = useRef(listener);
  current.current = listener;
  useEffect(() => subscribe((batch) => current.current(batch)), []);
}

/** Calls reload() when something came that concerns it, but not more often than once in so many milliseconds. */
export function useReloadOn(
  concerns: (e: FleetEvent) => boolean,
  reload: () => void,
  interval: number,
): void {
  const state = useRef<{ last: number; timer?: ReturnType<typeof setTimeout> }>({ last: 0 });
  const current = useRef(reload);
  current.current = reload;
  useEvents((batch) => {
    const s = state.current;
    if (s.timer !== undefined || !batch.some((e) => e.event === "reset" || concerns(e))) return;
    s.timer = setTimeout(
      () => {
        delete s.timer;
        s.last = Date.now();
        current.current();
      },
      Math.max(0, s.last + interval - Date.now()),
    );
  });
  useEffect(
    () => () => {
      clearTimeout(state.current.timer);
    },
    [],
  );
}
