// SPDX-License-Identifier: Apache-2.0
//
// probe.mjs URL CA TOKEN-FILE [CONTRACT OPERATION...]: asks a gateway on purpose for what docs/openapi.yaml forbids, and for what it just allows. For each query
// parameter and each member of each body: values at a limit and beyond it, of another type, of no meaning, left out, and members that
// there are not. What is forbidden must be refused with a 400 that names it; what is allowed must not. Every answer is held against the
// contract, too.

import { readFileSync } from "node:fs";
import https from "node:https";

import { Checker } from "./check-exchanges.mjs";
import { load } from "./contract.mjs";

const INT64_MAX = "9223372036854775807";
const INT64_BEYOND = "9223372036854775808";

/** Allowed by the contract, and refused for what else there is: the value itself is not to blame. */
const DEPENDS = new Set([
  "createRollout /strategy/canary/count", // there are not so many agents
  "rollBackRollout /strategy/canary/count",
  "createRollout /strategy/set_desired", // not for a list of ids
  "createRollout /strategy/windows/0/time_zone", // so long a name has none
]);

/** Bodies from which the others are made, where the contract's own examples would change too much or nothing is there. */
const SEEDS = {
  createFirstUser: [{ code: "x", name: "alice", password: "several words do well" }],
  createSession: [{ name: "nobody", password: "several words do well" }],
  setOwnPassword: [{ old: "x", new: "several words do well" }],
  setUserPassword: [{ password: "several words do well" }],
  createUser: [{ name: "prober", password: "several words do well", role: "viewer", display_name: "P", disabled: false }],
  changeUser: [{ role: "viewer", display_name: "P", disabled: false }],
  createApiToken: [{ role: "viewer", scopes: ["agents"], expires_in_sec: 60, description: "d" }],
  createOwnApiToken: [{ role: "viewer", scopes: ["agents"], expires_in_sec: 60, description: "d" }],
  createJoinToken: [{ uses: 1, expires_in_sec: 60, labels: { env: "test" }, description: "d", agent: "a" }],
  createGroup: [{ name: "probed", selector: "role=web", description: "d" }],
  matchAgents: [{ all: true }, { ids: ["nobody"] }, { agent: "nobody" }, { selector: "a" }, { group: "probe" }],
  labelAgents: [{ selector: "no=body", labels: { a: "b" }, expected_count: 0, expected_digest: "0".repeat(64) }],
  setDesiredVersion: [{ selector: "no=body", version: "1.1.0", retry: false, allow_empty: false, expected_count: 0 }],
  createRollout: [
    {
      version: "1.1.0",
      target: { selector: "no=body" },
      description: "d",
      dry_run: true,
      expected_count: 0,
      strategy: {
        canary: { count: 1, success_percent: 50, soak_sec: 1, approval: false },
        batch: { size: 5, ramp: [1, 2], every_sec: 1, success_percent: 50, soak_sec: 1, approval: false },
        max_in_flight: 5,
        max_failures: { percent: 5 },
        attempts: 2,
        retry_pause_sec: 1,
        offline: "skip",
        offline_wait_sec: 1,
        include_new_agents: false,
        set_desired: false,
        emergency: false,
        windows: [{ days: ["mon"], start: "22:00", duration_sec: 3600, time_zone: "UTC" }],
      },
    },
    { version: "1.1.0", target: { ids: ["nobody"] }, dry_run: true, strategy: { canary: { ids: ["nobody"] }, batch: { percent: 5 }, max_failures: { count: 1 } } },
  ],
  rollBackRollout: [{ description: "d", dry_run: true, strategy: { canary: { percent: 5 } } }],
};
const BODILESS = new Set(["createImport", "commitImport"]); // their body is empty
/** What is right would be an attempt to sign in. */
const ONLY_WRONG = new Set(["createFirstUser", "createSession", "setOwnPassword"]);
/** A token cannot ask for it. */
const WITH_SESSION = new Set(["setOwnPassword"]);

class Client {
  constructor(url, ca, token) {
    this.url = url;
    this.token = token;
    this.agent = new https.Agent({ ca, keepAlive: true, maxSockets: 4 });
  }

  /** A record as exchanges.py writes them. */
  ask(method, path, body = null, credentials = { Authorization: `Bearer ${this.token}` }) {
    const headers = { "If-Match": "*" };
    const text = body === null ? null : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = https.request(`${this.url}${path}`, { method, agent: this.agent, headers: { ...headers, ...credentials } }, (answer) => {
        const chunks = [];
        const pairs = answer.rawHeaders.flatMap((_, i, all) => (i % 2 === 0 ? [[all[i], all[i + 1]]] : []));
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () =>
          resolve({ server: "https", method, path, headers, body: text, status: answer.statusCode, answer_headers: pairs, answer: Buffer.concat(chunks).toString() }),
        );
        answer.on("error", reject);
      });
      request.on("error", reject);
      request.end(text ?? undefined);
    });
  }
}

/** So long a text, of a kind that is accepted. */
function text(schema, length) {
  const start = schema.$ref?.endsWith("/Selector") ? "a in (" : schema.$ref?.endsWith("/Version") ? "1.0.0-" : "";
  if (!start.endsWith("(")) return start.padEnd(length, "a");
  return `${start.padEnd(length - 1, `${"a".repeat(60)},`).replace(/,$/, "a")})`;
}

class Probe {
  constructor(contract, client) {
    this.contract = contract;
    this.client = client;
    this.checker = new Checker(contract);
    this.wrong = [];
    this.asked = 0;
  }

  async ask(...request) {
    const record = await this.client.ask(...request);
    this.asked++;
    this.checker.take(record, `${record.method} ${record.path} ${(record.body ?? "").slice(0, 300)}`);
    return record;
  }

  schema(schema) {
    const merged = { ...schema };
    if (schema.$ref) {
      const { $ref, ...rest } = schema;
      return { ...this.schema(this.contract.resolve($ref).value), ...rest };
    }
    for (const part of schema.allOf ?? []) {
      const s = this.schema(part);
      Object.assign(merged, { ...s, ...merged, properties: { ...s.properties, ...merged.properties }, required: [...(s.required ?? []), ...(merged.required ?? [])] });
    }
    return merged;
  }

  // ---- query parameters ----

  /** Texts that a parameter may have, and such that it may not. */
  texts(raw, example) {
    const s = this.schema(raw);
    if (s.enum) return { good: s.enum, bad: ["nonsense", ""] };
    if (s.type === "boolean") return { good: ["true", "false"], bad: ["yes", "1", "TRUE", ""] };
    if (s.type === "integer")
      return {
        good: [String(s.minimum), s.maximum === undefined ? INT64_MAX : String(s.maximum)],
        bad: [String(s.minimum - 1), s.maximum === undefined ? INT64_BEYOND : String(s.maximum + 1), "x", "1.5", ""],
      };
    if (s.type === "array") {
      const item = s.items.anyOf ? s.items.anyOf[0] : s.items;
      const inner = this.schema(item);
      const one = inner.enum?.[0] ?? example?.[0] ?? "a1";
      const many = (n) => Array.from({ length: n }, (_, i) => (inner.enum ? inner.enum[i % inner.enum.length] : one.replace(/\d+/, (d) => String(i + Number(d))))).join(",");
      const bad = ["", ","];
      if (inner.enum || inner.pattern) bad.push("no such!");
      if (s.maxItems) bad.push(many(s.maxItems + 1));
      return { good: s.maxItems ? [one, many(s.maxItems)] : [one], bad };
    }
    if (s.anyOf) return { good: s.anyOf.flatMap((o) => this.schema(o).enum ?? this.schema(o).const ?? []), bad: ["nonsense", ""] };
    const bad = [""];
    if (s.pattern) bad.push("no such!", "\u00e9");
    if (s.maxLength) bad.push("a".repeat(s.maxLength + 1));
    return { good: example ? [example] : [], bad };
  }

  async query(operation, path) {
    for (const parameter of operation.parameters.filter((p) => p.in === "query")) {
      const { good, bad } = this.texts(parameter.schema, parameter.example);
      const at = (text) => `${path}?${parameter.name}=${encodeURIComponent(text)}`;
      for (const text of good) {
        const { status, answer } = await this.ask(operation.id === "streamEvents" ? "HEAD" : "GET", at(text));
        if (status === 400) this.wrong.push(`${operation.id}: ${parameter.name}=${text.slice(0, 80)} is refused: ${JSON.parse(answer || "{}").detail}`);
      }
      for (const text of bad) await this.mustRefuse(`${operation.id}: ${parameter.name}=${text.slice(0, 80)}`, await this.ask("GET", at(text)), (e) => e.parameter === parameter.name);
    }
    await this.mustRefuse(`${operation.id}: a parameter that there is not`, await this.ask("GET", `${path}?surprise=1`), (e) => e.parameter === "surprise");
  }

  mustRefuse(what, { status, answer }, names) {
    if (status !== 400) this.wrong.push(`${what} is not refused: ${status}`);
    else if (!names(JSON.parse(answer).errors?.[0] ?? {})) this.wrong.push(`${what}: the refusal names something else: ${answer.slice(0, 300)}`);
  }

  // ---- bodies ----

  /** Every body that differs from this one in a single place, with that place. */
  *variants(raw, value, at = []) {
    const s = this.schema(raw);
    const place = (v) => [at, v];
    if (at.length > 0) {
      yield place(null);
      yield place(typeof value === "string" ? 7 : "text");
      if (!Array.isArray(value)) yield place([]);
    }
    if (s.minimum !== undefined) yield* [place(s.minimum), place(s.minimum - 1)];
    if (s.maximum !== undefined) yield* [place(s.maximum), place(s.maximum + 1)];
    if (s.type === "integer") yield place(1.5);
    if (s.type === "boolean") yield* [place(true), place(false)];
    if (s.enum) yield* [...s.enum, "nonsense"].map(place);
    if (typeof value === "string" && s.maxLength) yield* [place(text(raw, s.maxLength)), place(text(raw, s.maxLength + 1))];
    if (typeof value === "string" && s.pattern) yield place("\u0001");
    if (s.minLength || s.pattern) yield place("");
    if (s.type === "array" && Array.isArray(value)) {
      if (s.maxItems) yield place(Array.from({ length: s.maxItems + 1 }, (_, i) => (typeof value[0] === "number" ? 1 : typeof value[0] === "string" ? `a${i}` : value[0])));
      for (const [path, v] of this.variants(s.items, value[0], [...at, 0])) yield [path, v];
    }
    if (value !== null && typeof value === "object" && !Array.isArray(value)) yield* this.#members(s, value, at);
  }

  *#members(s, value, at) {
    yield [[...at, "surpr/ise"], 1];
    for (const key of s.required ?? []) yield [[...at, key], undefined];
    for (const [key, member] of Object.entries(s.properties ?? {})) if (value?.[key] !== undefined) yield* this.variants(member, value[key], [...at, key]);
    for (const option of s.oneOf ?? []) {
      const { properties = {} } = this.schema(option);
      for (const [key, member] of Object.entries(properties)) if (value?.[key] !== undefined) yield* this.variants(member, value[key], [...at, key]);
    }
  }

  async body(operation, path, seed) {
    const raw = this.contract.resolve(`${operation.pointer}/requestBody`);
    const pointer = `${this.contract.resolve(`${operation.pointer}/requestBody/content/application~1json`).at}/schema`;
    const invalid = this.contract.validate(pointer, seed);
    if (invalid.length > 0) throw new Error(`the seed of ${operation.id} is no good: ${invalid}`);
    for (const [place, value] of this.variants(raw.value.content["application/json"].schema, seed)) {
      const body = structuredClone(seed);
      let inner = body;
      for (const key of place.slice(0, -1)) inner = inner[key];
      inner[place.at(-1)] = value;
      const allowed = this.contract.validate(pointer, JSON.parse(JSON.stringify(body))).length === 0;
      const where = `/${place.map((p) => String(p).replaceAll("~", "~0").replaceAll("/", "~1")).join("/")}`;
      const what = `${operation.id}: ${where} ${JSON.stringify(value)?.slice(0, 60)}`;
      if (allowed && ONLY_WRONG.has(operation.id)) continue;
      const record = await this.ask(operation.method, path, body, ...(WITH_SESSION.has(operation.id) ? [this.session] : []));
      const named = (e) => e.pointer !== undefined && (where === e.pointer || where.startsWith(`${e.pointer}/`) || e.pointer === "");
      if (!allowed && !(value === "" && record.status === 400)) this.mustRefuse(what, record, named);
      else if (allowed && record.status === 400 && JSON.parse(record.answer).errors?.[0]?.pointer === where && !DEPENDS.has(`${operation.id} ${where}`))
        this.wrong.push(`${what} is refused: ${JSON.parse(record.answer).detail}`);
    }
  }
}

/** What the paths of operations name. */
async function prepare(probe) {
  const made = async (method, path, body) => JSON.parse((await probe.ask(method, path, body)).answer);
  await probe.ask("POST", "/api/v1/groups", { name: "probe", selector: "no=body" });
  const login = { name: `probe-${process.pid}`, password: "several words do well" };
  await probe.ask("POST", "/api/v1/users", { ...login, role: "viewer" });
  const signedIn = await probe.ask("POST", "/api/v1/session", login);
  const cookie = signedIn.answer_headers.find(([name]) => name === "Set-Cookie")[1].split(";")[0];
  probe.session = { Cookie: cookie, "X-CSRF-Token": JSON.parse(signedIn.answer).csrf_token };
  const agents = (await made("GET", "/api/v1/agents?fields=narrow&limit=1", null)).agents;
  return { agent: agents[0].id, group: "probe", rollout: "1", user: login.name, update: "0".repeat(32), import: "0".repeat(32), token: "0".repeat(16), desired: "999" };
}

async function main([url, ca, tokenFile, path, ...only]) {
  const contract = load(path);
  const probe = new Probe(contract, new Client(url, readFileSync(ca), readFileSync(tokenFile, "utf8").trim()));
  const names = await prepare(probe);
  let bodies = 0;
  for (const operation of contract.operations) {
    if (!operation.path.startsWith("/api/") || (only.length > 0 && !only.includes(operation.id))) continue;
    const at = operation.path.replace(/\{([^}]+)\}/g, (_, name) => encodeURIComponent(names[name] ?? "x"));
    if (operation.method === "GET") await probe.query(operation, at);
    const content = operation.requestBody && contract.resolve(`${operation.pointer}/requestBody`).value.content["application/json"];
    if (!content || BODILESS.has(operation.id)) continue;
    const seeds = SEEDS[operation.id] ?? [content.example];
    for (const seed of seeds) await probe.body(operation, at, seed);
    bodies += seeds.length;
  }
  probe.client.agent.destroy();
  probe.wrong.forEach((sentence) => console.log(sentence));
  for (const [sentence, [n, where]] of probe.checker.wrong) console.log(`${where}: ${sentence} (${n} times)`);
  const mistakes = probe.wrong.length + probe.checker.wrong.size;
  console.log(`${probe.asked} requests, made of ${bodies} bodies and all parameters: ${mistakes} mistakes`);
  process.exitCode = mistakes > 0 ? 1 : 0;
}

await main(process.argv.slice(2));
