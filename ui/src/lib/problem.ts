// SPDX-License-Identifier: Apache-2.0
// What went wrong with a request, in words for people.

import type { ProblemBody } from "../types";

export class Problem extends Error {
  readonly status: number;
  /** The last part of the type: "conflict", "forbidden"; "unreachable" when there was no answer at all. */
  readonly kind: string;
  readonly title: string;
  readonly body: Partial<ProblemBody>;
  /** Seconds, from Retry-After. */
  readonly retryAfter: number | undefined;

  constructor(status: number, body: Partial<ProblemBody>, retryAfter?: number) {
    super(body.detail ?? body.title ?? "The request failed.");
    this.status = status;
    this.kind = (body.type ?? "").replace(/^urn:fleet-agent:problem:/, "") || "unknown";
    this.title = body.title ?? "The request failed";
    this.body = body;
    this.retryAfter = retryAfter;
  }

  /** What is said of a member of the request, "/target/selector", or of a parameter, "?selector". */
  of(where: string): string | undefined {
    return this.body.errors?.find((e) => (e.parameter !== undefined ? `?${e.parameter}` : e.pointer) === where)?.detail;
  }
}

export function unreachable(): Problem {
  return new Problem(0, {
    type: "unreachable",
    title: "The gateway cannot be reached",
    detail: "There was no answer. Check that fleet-gateway.service runs and that this machine has a network.",
  });
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, {
    type: "console",
    title: "The console failed",
    detail: error instanceof Error ? error.message : String(error),
  });
}
