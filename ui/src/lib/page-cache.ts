// SPDX-License-Identifier: Apache-2.0
// Rows of a long list, in pages by their place in it, of which only those are fetched that are looked at.

import { type Problem, asProblem, isAbort } from "./problem";

export interface LoadedPage<T> {
  rows: T[];
  total: number;
}

export type LoadPage<T> = (offset: number, limit: number, signal: AbortSignal) => Promise<LoadedPage<T>>;

/** Rows of pages that are kept beyond what is looked at. */
const KEPT_PAGES = 40;

export class PageCache<T> {
  total: number | undefined;
  problem: Problem | undefined;
  #pages = new Map<number, T[]>();
  #loading = new Map<number, AbortController>();
  #range: [number, number] = [0, -1];
  #disposed = false;

  constructor(
    readonly size: number,
    readonly load: LoadPage<T>,
    readonly onChange: () => void,
  ) {}

  at(index: number): T | undefined {
    return this.#pages.get(Math.floor(index / this.size))?.[index % this.size];
  }

  /** Something is on its way. */
  get busy(): boolean {
    return this.#loading.size > 0;
  }

  /** Rows first to last are looked at: fetches what is missing, gives up what nobody waits for any more. */
  look(first: number, last: number): void {
    const from = Math.max(0, Math.floor(first / this.size));
    const to = Math.max(from, Math.floor(last / this.size));
    this.#range = [from, to];
    for (const [page, control] of this.#loading) {
      if (page >= from && page <= to) continue;
      control.abort();
      this.#loading.delete(page);
    }
    for (let page = from; page <= to; page++) {
      if (this.total !== undefined && page > 0 && page * this.size >= this.total) break;
      if (!this.#pages.has(page) && !this.#loading.has(page)) this.#fetch(page);
    }
  }

  /** What is looked at is read again; everything else when it is looked at. What is shown stays until then. */
  refresh(): void {
    for (const page of [...this.#pages.keys()]) {
      if (page < this.#range[0] || page > this.#range[1]) this.#pages.delete(page);
    }
    for (let page = this.#range[0]; page <= this.#range[1]; page++) this.#fetch(page);
  }

  /** Changes rows in place, by an event. True if any was there. */
  patch(change: (row: T) => T | undefined): boolean {
    let any = false;
    for (const [page, rows] of this.#pages) {
      let next: T[] | undefined;
      rows.forEach((row, i) => {
        const changed = change(row);
        if (changed === undefined) return;
        next ??= rows.slice();
        next[i] = changed;
      });
      if (next) {
        this.#pages.set(page, next);
        any = true;
      }
    }
    if (any) this.onChange();
    return any;
  }

  dispose(): void {
    this.#disposed = true;
    for (const control of this.#loading.values()) control.abort();
    this.#loading.clear();
  }

  #fetch(page: number): void {
    this.#loading.get(page)?.abort();
    const control = new AbortController();
    this.#loading.set(page, control);
    this.load(page * this.size, this.size, control.signal).then(
      ({ rows, total }) => this.#took(page, control, rows, total),
      (error: unknown) => this.#failed(page, control, error),
    );
  }

  #took(page: number, control: AbortController, rows: T[], total: number): void {
    if (this.#disposed || this.#loading.get(page) !== control) return;
    this.#loading.delete(page);
    this.problem = undefined;
    this.total = total;
    this.#pages.delete(page);
    this.#pages.set(page, rows);
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= KEPT_PAGES) break;
      if (old < this.#range[0] || old > this.#range[1]) this.#pages.delete(old);
    }
    this.onChange();
  }

  #failed(page: number, control: AbortController, error: unknown): void {
    if (this.#disposed || this.#loading.get(page) !== control) return;
    this.#loading.delete(page);
    if (isAbort(error)) return;
    this.problem = asProblem(error);
    this.onChange();
  }
}
