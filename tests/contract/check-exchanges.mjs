// SPDX-License-Identifier: Apache-2.0
//
// check-exchanges.mjs GATEWAYD FILE...: what the integration tests have seen of the real gateway, against docs/openapi.yaml. The
// files are those of exchanges.py, each recorded with this very program.
//
// An answer with a status, a header, a type or a body that is not written down is a mistake, in the gateway or in the
// contract; so is a request that was accepted although the contract forbids it, and an operation or a good answer that
// nobody has ever seen.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

import { load } from "./contract.mjs";

/** What is not seen in these tests, and why. */
const UNSEEN = {
  "word clone-suspected": "it takes two machines with one identity; the protocol tests have them",
  "word release.recover": "it takes a gateway that dies in the midst of an import, which a test tries at random",
};

/** Requests that may leave out the strategy, and where the contract has it. */
const DEFAULTS = {
  createRollout: "#/components/schemas/RolloutRequest/properties/strategy",
  rollBackRollout: "#/components/schemas/RollbackRequest/properties/strategy",
};

const lower = (pairs) => new Map(pairs.map(([name, value]) => [name.toLowerCase(), value]));

export class Checker {
  constructor(contract) {
    this.contract = contract;
    this.wrong = new Map(); // sentence → [how often, where first]
    this.covered = new Set();
    this.counts = { exchanges: 0, requests: 0, bodies: 0, events: 0 };
  }

  #say(where, sentence) {
    const entry = this.wrong.get(sentence) ?? [0, where];
    entry[0]++;
    this.wrong.set(sentence, entry);
  }

  /** One line of a recording. */
  take(record, where) {
    if (record.event) this.#takeEvent(record, where);
    else if (record.method) this.#takeExchange(record, where);
  }

  #takeEvent({ event }, where) {
    const pointer = "#/paths/~1api~1v1~1events/get/responses/200/content/text~1event-stream/schema";
    const item = { ...event };
    if ("id" in item) item.id = Number(item.id);
    try {
      item.data = JSON.parse(item.data);
    } catch {
      this.#say(where, `event ${item.event}: its data is no JSON`);
      return;
    }
    this.counts.events++;
    this.covered.add(`event ${item.event}`);
    // with the schema of the event that it says it is, errors are to the point
    const named = this.contract.resolve(pointer).value.discriminator.mapping[item.event];
    for (const error of this.contract.validate(named ?? pointer, item)) this.#say(where, `event ${item.event}: ${error}`);
  }

  #takeExchange(x, where) {
    const [rawPath, rawQuery] = x.path.split(/\?(.*)/s);
    let path = null;
    try {
      path = decodeURIComponent(rawPath);
    } catch {
      // a malformed URI: no operation is meant
    }
    this.counts.exchanges++;
    const matched = path === null ? { status: 400 } : this.contract.match(x.server, x.method, path);
    const name = matched.operation ? matched.operation.id : `${x.method} to no operation`;
    const answer = this.contract.answer(matched, x.status);
    if (!answer || (!matched.operation && x.status !== 400 && x.status !== matched.status)) {
      this.#say(where, `${name}: the status ${x.status} is not in the contract`);
      return;
    }
    const headers = lower(x.answer_headers);
    const say = (sentence) => this.#say(where, `${name} ${x.status}: ${sentence}`);
    this.contract.checkHeaders(answer, headers, headers.has("idempotency-replayed")).forEach(say);
    this.#checkBody(x, answer, headers, name, say);
    if (matched.operation && x.status < 400) this.#checkRequest(x, matched, rawQuery, say);
  }

  #checkBody(x, answer, headers, name, say) {
    const type = headers.get("content-type")?.split(";")[0].trim();
    const content = answer.content?.[type];
    if (!answer.content) {
      if (x.answer) say("a body is not in the contract");
      this.covered.add(`${name} ${x.status}`);
      return;
    }
    if (!content) {
      say(`the type ${type} is not in the contract`);
      return;
    }
    this.covered.add(`${name} ${x.status} ${type}`);
    const kept = /^(application\/json|application\/problem\+json|application\/x-ndjson|text\/)/.test(type);
    if (kept && name !== "getRepositoryFile" && headers.get("cache-control") !== "no-store") say("Cache-Control is not no-store");
    if (x.method === "HEAD" ? x.answer : x.answer === undefined) {
      if (x.method === "HEAD") say("HEAD has a body");
      return;
    }
    if (x.method === "HEAD") return;
    const pointer = `${answer.pointer}/content/${type.replaceAll("~", "~0").replaceAll("/", "~1")}/schema`;
    this.#values(x.answer, type, content, say).forEach((value) => {
      this.counts.bodies++;
      this.contract.validate(pointer, value).forEach((error) => say(error));
      if (type === "application/problem+json" && value?.status !== x.status) say(`the problem says ${value?.status}`);
    });
  }

  /** The body, or each of its items, as what the schema speaks of. */
  #values(text, type, content, say) {
    if (typeof text !== "string") return []; // bytes
    const parse = (json) => {
      try {
        return [JSON.parse(json)];
      } catch {
        say("the body is no JSON");
        return [];
      }
    };
    if (content["x-fleet-items"] && type === "text/event-stream") return []; // they come by themselves
    if (content["x-fleet-items"]) return text.split("\n").filter((line) => line !== "").flatMap(parse);
    if (/json$/.test(type)) return content.schema.type || content.schema.$ref || content.schema.allOf ? parse(text) : [];
    if (content["x-fleet-columns"] && text.split("\r\n")[0] !== content["x-fleet-columns"].join(",")) say("the columns are others");
    return content.schema.type ? [text] : [];
  }

  #checkRequest(x, matched, rawQuery, say) {
    const query = [...new URLSearchParams(rawQuery ?? "")];
    this.contract.checkParameters(matched, query, lower(Object.entries(x.headers))).forEach((error) => say(`the request was accepted: ${error}`));
    this.counts.requests++;
    const body = matched.operation.requestBody;
    const pointer = `${matched.operation.pointer}/requestBody`;
    if (!body) {
      if (x.body) say("the request was accepted: it has a body");
    } else if (!this.contract.resolve(pointer).value.content["application/json"]) {
      return;
    } else if (!x.body) {
      if (this.contract.resolve(pointer).value.required) say("the request was accepted: it has no body");
    } else {
      const at = this.contract.resolve(`${pointer}/content/application~1json`).at;
      this.contract.validate(`${at}/schema`, JSON.parse(x.body)).forEach((error) => say(`the request was accepted: ${error}`));
      const others = DEFAULTS[matched.operation.id];
      if (others && !("strategy" in JSON.parse(x.body))) this.#checkDefaults(matched.operation.id, this.contract.resolve(others).value, JSON.parse(x.answer), say);
    }
  }

  /** Who says nothing about the strategy of a rollout gets what the contract calls the default. */
  #checkDefaults(id, { "x-fleet-defaults": others }, { strategy, cohort }, say) {
    const compare = (pointer, other, value, name) => {
      const { value: schema, at } = this.contract.resolve(pointer);
      const meant = other === "cohort" ? cohort : other === undefined || schema.type === "object" ? schema.default : other;
      if (meant !== undefined && JSON.stringify(value) !== JSON.stringify(meant)) say(`${name} is ${JSON.stringify(value)} by default`);
      else if (meant === undefined && schema.type === "object")
        for (const key of Object.keys(schema.properties)) compare(`${at}/properties/${key}`, other?.[key], value?.[key], `${name}/${key}`);
    };
    compare("#/components/schemas/StrategyRequest", others, strategy, "strategy");
    this.covered.add(`the default strategy of ${id}`);
  }

  /** Operations, good answers, events and words that nobody has seen. */
  unseen() {
    const missing = [];
    for (const operation of this.contract.operations)
      for (const status of Object.keys(operation.responses)) {
        if (Number(status) >= 400) continue;
        const answer = this.contract.answer({ operation }, status);
        const all = answer.content ? Object.keys(answer.content).map((type) => `${operation.id} ${status} ${type}`) : [`${operation.id} ${status}`];
        missing.push(...all.filter((key) => !this.covered.has(key)));
      }
    for (const id of Object.keys(DEFAULTS)) if (!this.covered.has(`the default strategy of ${id}`)) missing.push(`the default strategy of ${id}`);
    const events = "#/components/schemas/FleetEvent/discriminator/mapping";
    for (const event of Object.keys(this.contract.resolve(events).value)) if (!this.covered.has(`event ${event}`)) missing.push(`event ${event}`);
    for (const schema of Object.values(this.contract.document.components.schemas))
      if (schema["x-fleet-words"] === "seen")
        for (const word of schema.enum) if (!this.contract.seen.get(schema)?.has(word)) missing.push(`word ${word}`);
    return missing;
  }
}

/** Recordings of another program prove nothing about this one. */
export function stale(gatewayd, files) {
  const hash = createHash("sha256").update(readFileSync(gatewayd)).digest("hex");
  return files.filter((file) => {
    if (!existsSync(file)) return true;
    const first = readFileSync(file, "utf8").split("\n", 1)[0];
    return first === "" || JSON.parse(first).gateway !== hash;
  });
}

function main([gatewayd, ...files]) {
  const old = stale(gatewayd, files);
  if (old.length > 0) {
    console.error(`There are no recordings of this gateway in ${old.map((f) => basename(f)).join(", ")}. Make them first:`);
    console.error("meson test -C BUILD --suite https");
    return 1;
  }
  const checker = new Checker(load());
  for (const file of files)
    readFileSync(file, "utf8").split("\n").forEach((line, i) => {
      if (line !== "") checker.take(JSON.parse(line), `${basename(file)}:${i + 1}`);
    });
  for (const [sentence, [n, where]] of checker.wrong) console.log(`${where}: ${sentence}${n > 1 ? ` (${n} times)` : ""}`);
  const missing = checker.unseen().filter((key) => !(key in UNSEEN));
  for (const key of missing) console.log(`nobody has seen: ${key}`);
  const { exchanges, requests, bodies, events } = checker.counts;
  console.log(`${exchanges} exchanges, ${requests} accepted requests, ${bodies} bodies, ${events} events: ${checker.wrong.size} mistakes, ${missing.length} unseen`);
  return checker.wrong.size + missing.length > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exit(main(process.argv.slice(2)));
