// SPDX-License-Identifier: Apache-2.0
//
// test-checkers.mjs PROGRAM: that the checkers find what they are there for. Each mistake is planted into what is otherwise right; a
// checker that says nothing about it fails.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { parse } from "yaml";

import { check as checkDocument, checkProse } from "./check-document.mjs";
import { Checker, stale } from "./check-exchanges.mjs";
import { check as checkWords } from "./check-words.mjs";
import { Contract, CONTRACT } from "./contract.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const told = JSON.parse(execFileSync(process.argv[2], { encoding: "utf8" }));

const document = parse(readFileSync(CONTRACT, "utf8"), { maxAliasCount: 1000 });
const contract = (change = () => {}) => {
  const d = structuredClone(document);
  change(d);
  return new Contract(d);
};

const ID = "0123456789abcdef0123456789abcdef";
const STANDARD = [["Content-Type", "application/json"], ["X-Request-Id", ID], ["X-Content-Type-Options", "nosniff"], ["Cache-Control", "no-store"]];
const GROUP = { name: "web", selector: "role=web", created: "2026-11-24T12:34:56Z", updated: "2026-11-24T12:34:56Z", revision: 1 };

/** An exchange that is as it should be: a group is made. */
function exchange(change = {}) {
  return {
    server: "https",
    method: "POST",
    path: "/api/v1/groups",
    headers: { "Idempotency-Key": "k1" },
    body: JSON.stringify({ name: "web", selector: "role=web" }),
    status: 201,
    answer_headers: [...STANDARD, ["ETag", '"5e8f-1"']],
    answer: JSON.stringify(GROUP),
    ...change,
  };
}

const problem = (status, type, more = {}) => ({
  status,
  answer_headers: [["Content-Type", "application/problem+json"], ...STANDARD.slice(1)],
  answer: JSON.stringify({ type: `urn:fleet-agent:problem:${type}`, title: "t", status, detail: "d", request_id: ID, ...more }),
});

function mistakes(record, c = contract()) {
  const checker = new Checker(c);
  checker.take(record, "test");
  return [...checker.wrong.keys()];
}

function found(record, words) {
  const wrong = mistakes(record);
  assert.ok(wrong.length > 0 && wrong.some((s) => s.includes(words)), `${JSON.stringify(wrong)} does not say "${words}"`);
}

test("what is right is let pass", () => {
  assert.deepEqual(mistakes(exchange()), []);
  assert.deepEqual(mistakes(exchange({ ...problem(409, "conflict"), body: "{}" })), []);
  assert.deepEqual(mistakes(exchange({ answer_headers: [...STANDARD, ["Idempotency-Replayed", "true"]] })), []);
  assert.deepEqual(mistakes(exchange({ method: "GET", path: "/nothing", ...problem(404, "not-found") })), []);
  const allow = problem(405, "method-not-allowed");
  allow.answer_headers.push(["Allow", "GET, HEAD, POST"]);
  assert.deepEqual(mistakes(exchange({ method: "DELETE", ...allow })), []);
});

test("answers", () => {
  found(exchange({ answer: JSON.stringify({ ...GROUP, colour: "red" }) }), "(colour)");
  found(exchange({ answer: JSON.stringify({ ...GROUP, revision: undefined }) }), "revision");
  found(exchange({ answer: JSON.stringify({ ...GROUP, created: "yesterday" }) }), "/created");
  found(exchange({ answer: JSON.stringify({ ...GROUP, description: null }) }), "/description");
  found(exchange({ answer: "{" }), "no JSON");
  found(exchange({ status: 200 }), "the status 200 is not in the contract");
  found(exchange({ status: 418, ...problem(418, "conflict") }), "the status 418");
  found(exchange({ answer_headers: STANDARD }), "header ETag is missing");
  found(exchange({ answer_headers: [...STANDARD, ["ETag", 'W/"5e8f-1"']] }), "header ETag");
  found(exchange({ answer_headers: [...STANDARD, ["ETag", '"5e8f-1"'], ["X-Powered-By", "love"]] }), "x-powered-by");
  found(exchange({ answer_headers: [["Content-Type", "text/html"], ...STANDARD.slice(1), ["ETag", '"5e8f-1"']] }), "text/html");
  found(exchange({ answer_headers: [...STANDARD.filter(([n]) => n !== "Cache-Control"), ["ETag", '"5e8f-1"']] }), "no-store");
  found(exchange({ answer_headers: [...STANDARD.filter(([n]) => n !== "X-Content-Type-Options"), ["ETag", '"5e8f-1"']] }), "nosniff");
});

test("problems", () => {
  found(exchange(problem(409, "teapot")), "/type");
  found(exchange(problem(409, "not-found")), "/type");
  found(exchange(problem(400, "bad-request", { errors: [{ pointer: "name", detail: "d" }] })), "/errors/0");
  found(exchange(problem(400, "bad-request", { errors: [{ detail: "d" }] })), "/errors/0");
  found(exchange(problem(400, "bad-request", { hint: "h" })), "(hint)");
  found(exchange({ ...problem(409, "conflict"), answer: problem(404, "not-found").answer }), "the problem says 404");
  found(exchange({ method: "DELETE", ...problem(405, "method-not-allowed") }), "header Allow is missing");
});

test("requests that were accepted", () => {
  found(exchange({ body: JSON.stringify({ name: "web", selector: "a", colour: "red" }) }), "(colour)");
  found(exchange({ body: JSON.stringify({ name: "web site", selector: "a" }) }), "/name");
  found(exchange({ body: null }), "it has no body");
  found(exchange({ path: "/api/v1/groups?force=true" }), "query parameter force is not in the contract");
  found(exchange({ headers: { "Idempotency-Key": "a b" } }), "header parameter Idempotency-Key");
  const list = { method: "GET", body: null, status: 200, answer_headers: STANDARD, answer: JSON.stringify({ groups: [], total: 0 }) };
  assert.deepEqual(mistakes(exchange({ ...list, path: "/api/v1/groups?limit=7&counts=true" })), []);
  found(exchange({ ...list, path: "/api/v1/groups?limit=1001" }), "query parameter limit");
  found(exchange({ ...list, path: "/api/v1/groups?limit=x" }), "query parameter limit");
  found(exchange({ ...list, path: "/api/v1/groups?counts=yes" }), "query parameter counts");
  found(exchange({ method: "PUT", path: "/api/v1/groups/web", body: JSON.stringify({ selector: "a" }), status: 200, headers: {} }), "If-Match is missing");
  found(exchange({ method: "GET", path: "/api/v1/grupps", status: 200 }), "the status 200 is not in the contract");
});

test("words", () => {
  const agents = (state) => ({ agents: [{ id: "a", state, labels: {}, enrolled: "2026-11-24T12:34:56Z", revision: 1 }], total: 1 });
  const list = (state) => exchange({ method: "GET", path: "/api/v1/agents?fields=narrow", body: null, status: 200, answer_headers: STANDARD, answer: JSON.stringify(agents(state)) });
  assert.deepEqual(mistakes(list("online")), []);
  found(list("asleep"), "/agents/0/state");
});

test("events", () => {
  const event = (data, more = {}) => ({ path: "/api/v1/events", event: { id: "7", event: "group", data: JSON.stringify(data), ...more } });
  assert.deepEqual(mistakes(event({ ...GROUP, change: "created" })), []);
  found(event({ ...GROUP, change: "renamed" }), "/data/change");
  found(event({ ...GROUP, change: "created", agents: {} }), "(agents)");
  found(event({ ...GROUP, change: "created" }, { id: undefined }), "id");
  found(event(GROUP, { event: "gruop" }), "event gruop");
  found(event({}, { data: "{" }), "no JSON");
});

test("other bodies", () => {
  const get = (path, type, answer, more = []) =>
    exchange({ method: "GET", path, body: null, status: 200, answer, answer_headers: [["Content-Type", type], ...STANDARD.slice(1), ...more] });
  const disposition = [["Content-Disposition", 'attachment; filename="agents.csv"']];
  const columns = "id,hostname,state,version,previous_version,update_phase,update_version,os,os_version,arch,kernel,address,pinned_version,clone_suspected,enrolled,connected,last_seen,labels\r\n";
  assert.deepEqual(mistakes(get("/api/v1/agents", "text/csv; charset=utf-8; header=present", columns, disposition)), []);
  found(get("/api/v1/agents", "text/csv", columns.replace("kernel,", ""), disposition), "the columns are others");
  found(get("/api/v1/audit", "application/x-ndjson", '{"entry":{},"hash":"x"}\n'), "/entry");
  found(get("/ca.pem", "application/x-pem-file", "nothing"), "pattern");
});

test("defaults of a strategy", () => {
  const c = contract();
  const shown = { canary: { success_percent: 100, soak_sec: 61, approval: false }, batch: {} };
  const record = exchange({ path: "/api/v1/rollouts", body: JSON.stringify({ version: "1.0.0", target: { all: true }, dry_run: true }), status: 200, answer: JSON.stringify({ strategy: shown }) });
  const wrong = mistakes(record, c);
  assert.ok(wrong.some((s) => s.includes("strategy/canary/soak_sec is 61 by default")), wrong.join("\n"));
  assert.ok(!wrong.some((s) => s.includes("success_percent is 100")));
  const back = mistakes({ ...record, path: "/api/v1/rollouts/1/roll-back", body: "{}", answer: JSON.stringify({ cohort: 7, strategy: { canary: { count: 10, soak_sec: 60 }, batch: { size: 7, every_sec: 0 } } }) });
  assert.ok(back.some((s) => s.includes("strategy/canary/count is 10 by default")), back.join("\n"));
  assert.ok(!back.some((s) => /(soak_sec is 60|size is 7|every_sec is 0) /.test(s)), back.join("\n"));
});

test("what nobody has seen", () => {
  const c = contract();
  const checker = new Checker(c);
  checker.take(exchange(), "test");
  const missing = checker.unseen();
  assert.ok(!missing.includes("createGroup 201 application/json"));
  for (const key of ["listGroups 200 application/json", "deleteGroup 204", "listAgents 200 text/csv", "event rollout", "word desired.set", "getGroup 304", "the default strategy of createRollout"])
    assert.ok(missing.includes(key), key);
});

test("recordings of another gateway", () => {
  const folder = mkdtempSync(join(tmpdir(), "contract-"));
  try {
    const program = join(folder, "gatewayd");
    writeFileSync(program, "one");
    writeFileSync(join(folder, "good"), '{"gateway":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}\n');
    writeFileSync(join(folder, "old"), `{"gateway":"${"0".repeat(64)}"}\n`);
    writeFileSync(join(folder, "empty"), "");
    const files = ["good", "old", "empty", "absent"].map((name) => join(folder, name));
    assert.deepEqual(stale(program, files), files.slice(1));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("tables of the gateway", () => {
  assert.deepEqual(checkWords(contract(), told), []);
  const finds = (words, change, changeTold = (t) => t) => {
    const wrong = checkWords(contract(change), changeTold(structuredClone(told)));
    assert.ok(wrong.some((s) => s.includes(words)), `${wrong.join("\n")} does not say "${words}"`);
  };
  const agents = (d) => d.paths["/api/v1/agents"].get;
  finds("the gateway has https GET /api/v1/labels", (d) => delete d.paths["/api/v1/labels"]);
  finds("the contract has https GET /api/v1/moods", (d) => (d.paths["/api/v1/moods"] = { get: { ...agents(d), operationId: "listMoods" } }));
  finds("x-fleet-role is operator", (d) => (agents(d)["x-fleet-role"] = "operator"));
  finds("x-fleet-scope is users", (d) => (agents(d)["x-fleet-scope"] = "users"));
  finds("security", (d) => (agents(d).security = []));
  finds("its parameters are", (d) => agents(d).parameters.pop());
  finds("its body is none", (d) => delete d.paths["/api/v1/groups"].post.requestBody);
  finds("its body may have 1048576", (d) => delete d.paths["/api/v1/rollouts"].post["x-fleet-body-max"]);
  finds("Idempotency-Key: the gateway says kept", (d) => d.paths["/api/v1/groups"].post.parameters.pop());
  finds("listAgents: it can answer 401 unauthenticated", (d) => delete agents(d).responses["401"]);
  finds("createGroup: it can answer 422 idempotency-mismatch", (d) => delete d.paths["/api/v1/groups"].post.responses["422"]);
  finds("AgentState: the gateway has never", (d) => d.components.schemas.AgentState.enum.shift());
  finds("AgentState: the contract has asleep", (d) => d.components.schemas.AgentState.enum.push("asleep"));
  finds("the gateway has no table moods", (d) => (d.components.schemas.AgentState["x-fleet-words"] = "moods"));
  finds("nothing in the contract has the words of agent_state", (d) => (d.components.schemas.AgentState["x-fleet-words"] = "seen"));
  finds("without x-fleet-words", (d) => delete d.components.schemas.AgentState["x-fleet-words"]);
  finds("no operation for the verb pause", (d) => delete d.paths["/api/v1/rollouts/{rollout}/pause"]);
  finds("conflict comes with 418", () => {}, (t) => ({ ...t, problems: { ...t.problems, conflict: 418 } }));
  finds("no operation can answer teapot", () => {}, (t) => ({ ...t, problems: { ...t.problems, teapot: 418 } }));
  finds("Version/maxLength is 64", (d) => (d.components.schemas.Version.maxLength = 64));
});

test("rules of the document", () => {
  assert.deepEqual(checkDocument(contract()), []);
  const finds = (words, change) => {
    const wrong = checkDocument(contract(change));
    assert.ok(wrong.some((s) => s.includes(words)), `${wrong.join("\n")} does not say "${words}"`);
  };
  finds("Match: the object is open", (d) => delete d.components.schemas.Match.additionalProperties);
  finds("Rollout: the object is open", (d) => (d.components.schemas.Rollout = { type: "object", properties: {} }));
  finds("TargetAgent is a part", (d) => (d.components.schemas.Match.properties.selector = { $ref: "#/components/schemas/TargetAgent" }));
  finds("AgentFields is a part", (d) => delete d.components.schemas.Agent.unevaluatedProperties);
  finds("no verb and noun", (d) => (d.paths["/api/v1/agents"].get.operationId = "agents_list"));
});

test("tables in the prose", () => {
  const text = readFileSync(join(here, "../../docs/api.md"), "utf8");
  assert.deepEqual(checkProse(contract(), text), []);
  const finds = (words, from, to) => {
    assert.ok(text.includes(from), from);
    const wrong = checkProse(contract(), text.replace(from, to));
    assert.ok(wrong.some((s) => s.includes(words)), `${wrong.join("\n")} does not say "${words}"`);
  };
  finds("docs/api.md has not: | `GET /api/v1/labels` | listLabels | viewer | agents |", "listLabels | viewer", "listLabels | admin");
  finds("docs/api.md has: | `GET /api/v1/moods`", "| `GET /api/v1/labels` |", "| `GET /api/v1/moods` |");
  finds("does not tell of user.change", "| `user.change` |", "| `user.alter` |");
  finds("tells of user.alter", "| `user.change` |", "| `user.alter` |");
});

test("the linter", () => {
  const folder = mkdtempSync(join(tmpdir(), "contract-"));
  const lint = (text) => {
    const file = join(folder, "openapi.yaml");
    writeFileSync(file, text);
    return spawnSync(process.execPath, [join(here, "lint.mjs"), file], { encoding: "utf8" });
  };
  try {
    const good = readFileSync(CONTRACT, "utf8");
    assert.equal(lint(good).status, 0);
    for (const [from, to] of [
      ["operationId: listAgents", "operationId: listGroups"], // twice
      ["  schemas:\n", "  schemas:\n    Unused: { type: string }\n"], // a warning is enough
      ["name: web, selector: role=web, description", "name: web, selektor: role=web, description"], // an example that is wrong
      ["minLength: 1\n      maxLength: 4096", "minLenght: 1\n      maxLength: 4096"],
    ]) {
      const bad = good.replace(from, to);
      assert.notEqual(bad, good, from);
      assert.notEqual(lint(bad).status, 0, to);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
