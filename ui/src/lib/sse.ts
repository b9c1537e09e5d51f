// SPDX-License-Identifier: Apache-2.0
// text/event-stream, piece by piece. Pure.

export interface SseMessage {
  event: string;
  data: string;
  /** The last that was said, also by an earlier message; "" before the first. */
  lastId: string;
}

export class SseParser {
  lastId: string;
  /** Milliseconds after which the gateway wants to be asked again; 0: it has not said. */
  retry = 0;
  #rest = "";
  #event = "";
  #data: string[] = [];

  constructor(lastId = "") {
    this.lastId = lastId;
  }

  /** Takes a piece of text, however it was cut, and gives the messages that are complete. */
  push(piece: string): SseMessage[] {
    const messages: SseMessage[] = [];
    this.#rest += piece;
    for (;;) {
      // a CR at the very end may be half of a CRLF
      const end = this.#rest.search(/\r\n|\n|\r(?!$)/);
      if (end < 0) return messages;
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + (this.#rest.startsWith("\r\n", end) ? 2 : 1));
      const message = this.#take(line);
      if (message) messages.push(message);
    }
  }

  #take(line: string): SseMessage | undefined {
    if (line === "") return this.#finish();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined; // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.lastId = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return undefined;
  }

  #finish(): SseMessage | undefined {
    const message = { event: this.#event || "message", data: this.#data.join("\n"), lastId: this.lastId };
    const empty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return empty ? undefined : message;
  }
}
