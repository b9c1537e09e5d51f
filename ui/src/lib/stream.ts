// SPDX-License-Identifier: Apache-2.0
// One connection to /api/v1/events, made again whenever it ends. Read with fetch() and not with EventSource, which hides
// heartbeats (so that a dead connection looks alive), cannot say why it was refused, and cannot go on where another tab
// left off.

import { Problem, isAbort } from "./problem";
import { SseParser } from "./sse";
import type { FleetEvent } from "./coalesce";

/** The gateway says something every 15 s; the connection is dead after so long without a byte. */
const SILENCE_MAX = 40_000;
const PAUSE = 1_000;
const PAUSE_MAX = 15_000;

export interface StreamCallbacks {
  /** May be empty: the connection lives. */
  onEvents(events: FleetEvent[], lastId: string): void;
  onConnected(): void;
  onLost(): void;
  /** 401: the session is over. */
  onRefused(): void;
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(finish, milliseconds);
    function finish() {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      removeEventListener("online", finish);
      done();
    }
    signal.addEventListener("abort", finish);
    addEventListener("online", finish);
  });
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Reads one connection to its end; throws when it does not end well. */
async function readOnce(lastId: string, callbacks: StreamCallbacks, stop: AbortSignal): Promise<void> {
  const control = new AbortController();
  const abort = () => control.abort();
  let silence = setTimeout(abort, SILENCE_MAX);
  stop.addEventListener("abort", abort);
  try {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (lastId) headers["Last-Event-ID"] = lastId;
    const response = await fetch("/api/v1/events", {
      headers,
      signal: control.signal,
      cache: "no-store",
      credentials: "same-origin",
    });
    if (!response.ok || !response.body) {
      const wait = Number(response.headers.get("Retry-After"));
      throw new Problem(response.status, { title: "The event stream was refused" }, wait > 0 ? wait : undefined);
    }
    const parser = new SseParser(lastId);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    callbacks.onConnected();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(abort, SILENCE_MAX);
      const messages = parser.push(value);
      callbacks.onEvents(
        messages.map((m) => ({ event: m.event, data: parse(m.data) })),
        parser.lastId,
      );
    }
  } finally {
    clearTimeout(silence);
    stop.removeEventListener("abort", abort);
  }
}

/** Ends when stop does, or when the session is over. */
export async function readEvents(
  lastId: () => string,
  callbacks: StreamCallbacks,
  stop: AbortSignal,
): Promise<void> {
  for (let failures = 0; !stop.aborted; failures++) {
    let wanted = 0;
    const onConnected = () => {
      failures = 0;
      callbacks.onConnected();
    };
    try {
      await readOnce(lastId(), { ...callbacks, onConnected }, stop);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        callbacks.onRefused();
        return;
      }
      if (error instanceof Problem) wanted = (error.retryAfter ?? 0) * 1000;
      else if (!isAbort(error) && !(error instanceof TypeError)) throw error;
    }
    if (stop.aborted) return;
    callbacks.onLost();
    // not all consoles at once after a restart of the gateway
    const grown = Math.min(PAUSE_MAX, PAUSE * 2 ** failures) * (0.5 + Math.random() / 2);
    await sleep(Math.max(wanted, grown), stop);
  }
}
