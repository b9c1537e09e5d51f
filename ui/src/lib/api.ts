// SPDX-License-Identifier: Apache-2.0
// Requests to the gateway. Nothing else in the console calls fetch(), but for the event stream.

import type { ProblemBody } from "../types";
import { Problem, isAbort, unreachable } from "./problem";

export type Parameters = Record<string, string | number | boolean | undefined>;

export interface Options {
  query?: Parameters;
  body?: unknown;
  ifMatch?: string;
  /** Names one decision of a person, so that it is carried out once, however often it must be sent. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

export interface Answer<T> {
  status: number;
  data: T;
  etag: string | undefined;
}

let csrfToken: string | undefined;
let onSignedOut: () => void = () => undefined;

export function setCsrfToken(token: string | undefined): void {
  csrfToken = token;
}

/** Called when an answer says that the session has ended. */
export function setOnSignedOut(callback: () => void): void {
  onSignedOut = callback;
}

export function apiUrl(path: string, query: Parameters = {}): string {
  const p = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") p.set(key, String(value));
  }
  const text = p.toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

async function readProblem(response: Response): Promise<Problem> {
  const retry = Number(response.headers.get("Retry-After"));
  let body: Partial<ProblemBody> = {};
  try {
    body = (await response.json()) as Partial<ProblemBody>;
  } catch {
    body = { title: `The gateway answered ${response.status}`, detail: response.statusText };
  }
  return new Problem(response.status, body, Number.isFinite(retry) && retry > 0 ? retry : undefined);
}

async function send(method: string, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { method, credentials: "same-origin", cache: "no-store", redirect: "error", ...init });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw unreachable();
  }
}

/** As send(); what names its decision is sent a second time when there was no answer. */
async function sendSurely(method: string, url: string, init: RequestInit, repeatable: boolean): Promise<Response> {
  try {
    return await send(method, url, init);
  } catch (error) {
    if (!repeatable || !(error instanceof Problem)) throw error;
    await new Promise((done) => setTimeout(done, 1000));
    return send(method, url, init);
  }
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const problem = await readProblem(response);
  if (problem.kind === "unauthenticated") onSignedOut();
  throw problem;
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.ifMatch) headers["If-Match"] = options.ifMatch;
  if (options.idempotencyKey) headers["Idempotency-Key"] = options.idempotencyKey;
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  const init: RequestInit = { headers, signal: options.signal ?? null };
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  const repeatable = method === "GET" || options.idempotencyKey !== undefined;
  const response = await checked(await sendSurely(method, apiUrl(path, options.query), init, repeatable));
  const data = response.status === 204 ? undefined : await response.json();
  return { status: response.status, data: data as T, etag: response.headers.get("ETag") ?? undefined };
}

export async function get<T>(path: string, query?: Parameters, signal?: AbortSignal): Promise<T> {
  const options: Options = {};
  if (query) options.query = query;
  if (signal) options.signal = signal;
  return (await request<T>("GET", path, options)).data;
}

/** A file of an import; progress is told as it goes up. */
export async function putFile(path: string, file: Blob, signal?: AbortSignal): Promise<void> {
  const headers: Record<string, string> = { "Content-Type": "application/octet-stream" };
  if (csrfToken) headers["X-CSRF-Token"] = csrfToken;
  await checked(await send("PUT", apiUrl(path), { headers, body: file, signal: signal ?? null }));
}

/** Does the gateway serve this file of the repository already? */
export async function isServed(path: string, signal?: AbortSignal): Promise<boolean> {
  return (await send("HEAD", `/tuf/${path}`, { signal: signal ?? null })).ok;
}

export async function getText(path: string, query: Parameters, accept: string, signal?: AbortSignal): Promise<Blob> {
  const response = await checked(
    await send("GET", apiUrl(path, query), { headers: { Accept: accept }, signal: signal ?? null }),
  );
  return response.blob();
}
