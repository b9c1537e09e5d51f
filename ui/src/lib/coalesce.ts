// SPDX-License-Identifier: Apache-2.0
// Many events in, few renderings out: at most one hand-over in so many milliseconds, in which each thing is there once,
// as it was said last. Every event of the gateway is whole, so nothing is lost by that.

export interface FleetEvent {
  event: string;
  data: Record<string, unknown>;
}

export interface Clock {
  now(): number;
  after(milliseconds: number, run: () => void): unknown;
  cancel(timer: unknown): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, run) => setTimeout(run, milliseconds),
  cancel: (timer) => clearTimeout(timer as number),
};

const KEPT_MAX = 20_000;

function keyOf(e: FleetEvent): string | undefined {
  const name = e.data["id"] ?? e.data["name"] ?? e.data["version"];
  if (e.event === "reset" || e.event === "labels") return e.event;
  return typeof name === "string" || typeof name === "number" ? `${e.event} ${name}` : undefined;
}

export class Coalescer {
  #waiting = new Map<string, FleetEvent>();
  #unnamed = 0;
  #last = -Infinity;
  #timer: unknown;

  constructor(
    readonly interval: number,
    readonly deliver: (batch: FleetEvent[]) => void,
    readonly clock: Clock = systemClock,
  ) {}

  push(events: FleetEvent[]): void {
    for (const e of events) {
      const key = keyOf(e) ?? `# ${this.#unnamed++}`;
      this.#waiting.delete(key); // the order is that of the last word
      this.#waiting.set(key, e);
    }
    if (this.#waiting.size > KEPT_MAX) {
      // nobody can use that many: whoever shows lists reads them again
      this.#waiting.clear();
      this.#waiting.set("reset", { event: "reset", data: {} });
    }
    if (this.#waiting.size === 0 || this.#timer !== undefined) return;
    const wait = Math.max(0, this.#last + this.interval - this.clock.now());
    this.#timer = this.clock.after(wait, () => this.#flush());
  }

  stop(): void {
    if (this.#timer !== undefined) this.clock.cancel(this.#timer);
    this.#timer = undefined;
    this.#waiting.clear();
  }

  #flush(): void {
    const batch = [...this.#waiting.values()];
    this.#timer = undefined;
    this.#waiting.clear();
    this.#last = this.clock.now();
    this.deliver(batch);
  }
}
