// SPDX-License-Identifier: Apache-2.0
//
// check-words.mjs PROGRAM: docs/openapi.yaml against what test-contract-words prints of the gateway's tables: routes with their roles,
// areas, parameters and bodies, in both directions; word lists; problems and their statuses; limits.

import { execFileSync } from "node:child_process";
import { pathToFileURL } from "node:url";

import { load } from "./contract.mjs";

/** Where the contract has a limit, and which of the gateway's it is. */
const LIMITS = {
  "#/components/schemas/Version/maxLength": "VERSION_MAX",
  "#/components/schemas/Selector/maxLength": "SELECTOR_TEXT_MAX",
  "#/components/schemas/LabelKey/maxLength": "LABEL_KEY_MAX",
  "#/components/schemas/Labels/maxProperties": "LABELS_MAX",
  "#/components/schemas/LabelChanges/maxProperties": "LABELS_MAX",
  "#/components/schemas/NewPassword/maxLength": "PASSWORD_MAX",
  "#/components/schemas/Password/maxLength": "PASSWORD_MAX",
  "#/components/schemas/DisplayName/maxLength": "DISPLAY_NAME_MAX",
  "#/components/schemas/TargetIds/properties/ids/maxItems": "AGENT_QUERY_IDS_MAX",
  "#/components/parameters/FilterId/schema/maxItems": "AGENT_QUERY_TERMS_MAX",
  "#/components/parameters/FilterText/schema/maxItems": "AGENT_QUERY_TERMS_MAX",
  "#/components/parameters/FilterUpdate/schema/maxItems": "UPDATE_FILTER_MAX",
  "#/components/parameters/IdempotencyKey/schema/maxLength": "IDEMPOTENCY_KEY_MAX",
  "#/components/schemas/ApiTokenRequest/properties/expires_in_sec/default": "API_TOKEN_LIFE_DEFAULT",
  "#/components/schemas/ApiTokenRequest/properties/expires_in_sec/anyOf/1/maximum": "API_TOKEN_LIFE_MAX",
  "#/components/schemas/StrategyRequest/properties/canary/properties/count/maximum": "ROLLOUT_BATCH_MAX",
  "#/components/schemas/StrategyRequest/properties/canary/properties/ids/maxItems": "ROLLOUT_CANARY_IDS_MAX",
  "#/components/schemas/StrategyRequest/properties/canary/properties/soak_sec/maximum": "ROLLOUT_PERIOD_MAX",
  "#/components/schemas/StrategyRequest/properties/batch/properties/size/maximum": "ROLLOUT_BATCH_MAX",
  "#/components/schemas/StrategyRequest/properties/batch/properties/ramp/maxItems": "ROLLOUT_RAMP_MAX",
  "#/components/schemas/StrategyRequest/properties/batch/properties/ramp/items/maximum": "ROLLOUT_BATCH_MAX",
  "#/components/schemas/StrategyRequest/properties/batch/properties/every_sec/maximum": "ROLLOUT_PERIOD_MAX",
  "#/components/schemas/StrategyRequest/properties/batch/properties/soak_sec/maximum": "ROLLOUT_PERIOD_MAX",
  "#/components/schemas/StrategyRequest/properties/max_in_flight/maximum": "ROLLOUT_BATCH_MAX",
  "#/components/schemas/StrategyRequest/properties/max_failures/properties/count/maximum": "ROLLOUT_BATCH_MAX",
  "#/components/schemas/StrategyRequest/properties/attempts/maximum": "ROLLOUT_ATTEMPTS_MAX",
  "#/components/schemas/StrategyRequest/properties/offline_wait_sec/maximum": "ROLLOUT_OFFLINE_WAIT_MAX",
  "#/components/schemas/StrategyRequest/properties/windows/maxItems": "ROLLOUT_WINDOWS_MAX",
  "#/components/schemas/MaintenanceWindow/properties/duration_sec/minimum": "ROLLOUT_WINDOW_LENGTH_MIN",
  "#/components/schemas/MaintenanceWindow/properties/duration_sec/maximum": "ROLLOUT_WINDOW_LENGTH_MAX",
  "#/components/schemas/MaintenanceWindow/properties/time_zone/maxLength": "TIMEZONE_NAME_MAX",
};

const BODY_MAX = 65536;
const URN = "urn:fleet-agent:problem:";

const sorted = (list) => [...list].sort();
const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function difference(what, ours, theirs) {
  const wrong = [];
  for (const item of ours) if (!theirs.includes(item)) wrong.push(`${what}: the contract has ${item}, the gateway has not`);
  for (const item of theirs) if (!ours.includes(item)) wrong.push(`${what}: the gateway has ${item}, the contract has not`);
  return wrong;
}

/** "GET /api/v1/agents/{}" on each server where it is. */
function keysOf(contract) {
  return contract.operations.flatMap((o) => {
    const path = o.path.replace(/\{([^}]+)\}/g, (_, name) => (o.many.has(name) ? "*" : "{}"));
    return o.servers.map((server) => [`${server} ${o.method} ${path}`, o]);
  });
}

function problemTypes(contract, operation, status) {
  const answer = contract.answer({ operation }, status);
  const schema = answer?.content?.["application/problem+json"]?.schema;
  return schema ? schema.allOf[1].properties.type.enum.map((type) => type.slice(URN.length)) : [];
}

/** What follows from a row of the table: any route of that kind can answer so. */
function expectedProblems(route) {
  const read = route.method === "GET";
  const expected = [[400, "bad-request"]];
  if (!route.path.endsWith("z")) expected.push([503, "overloaded"]); // health has 503 of its own
  if (route.role !== "public") expected.push([401, "unauthenticated"], [403, "forbidden"]);
  if (route.role !== "public" && !read) expected.push([403, "csrf"]);
  if (!read) expected.push([403, "cross-site"]);
  if (route.body !== "none") expected.push([413, "too-large"]);
  if (/[{*]/.test(route.path)) expected.push([404, "not-found"]);
  if (route.idempotency === "kept") expected.push([409, "idempotency-busy"], [422, "idempotency-mismatch"]);
  return expected;
}

function checkRoute(contract, route, o) {
  const wrong = [];
  const say = (sentence) => wrong.push(`${o.id}: ${sentence}`);
  const content = o.requestBody && contract.resolve(`${o.pointer}/requestBody`).value.content;
  const body = !content ? "none" : content["application/json"] ? "json" : "file";
  const query = o.parameters.filter((p) => p.in === "query").map((p) => p.name);
  const keyed = o.parameters.some((p) => p.name === "Idempotency-Key");

  if (o["x-fleet-role"] !== route.role) say(`x-fleet-role is ${o["x-fleet-role"]}, the gateway says ${route.role}`);
  if (o["x-fleet-scope"] !== route.scope) say(`x-fleet-scope is ${o["x-fleet-scope"]}, the gateway says ${route.scope}`);
  if ((route.role === "public") !== (o.security?.length === 0)) say("security does not go with the role");
  if (body !== route.body) say(`its body is ${body}, the gateway says ${route.body}`);
  if (body === "json" && (o["x-fleet-body-max"] ?? BODY_MAX) !== route.body_max) say(`its body may have ${route.body_max} bytes`);
  if (!same(query, route.parameters)) say(`its parameters are ${sorted(query)}, the gateway says ${sorted(route.parameters)}`);
  if (keyed !== (route.idempotency === "kept")) say(`Idempotency-Key: the gateway says ${route.idempotency}`);
  for (const [status, type] of expectedProblems(route)) if (!problemTypes(contract, o, status).includes(type)) say(`it can answer ${status} ${type}`);
  return wrong;
}

function checkRoutes(contract, routes) {
  const ours = new Map(keysOf(contract));
  const theirs = new Map(routes.map((r) => [`${r.server} ${r.method} ${r.path}`, r]));
  const wrong = difference("routes", [...ours.keys()], [...theirs.keys()]);
  for (const [key, route] of theirs) if (ours.has(key)) wrong.push(...checkRoute(contract, route, ours.get(key)));
  return wrong;
}

function checkWords(contract, words) {
  const wrong = [];
  const claimed = new Set();
  for (const [name, schema] of Object.entries(contract.document.components.schemas)) {
    const list = schema["x-fleet-words"];
    if (list === undefined) {
      if (schema.enum) wrong.push(`${name} is a list of words without x-fleet-words`);
      continue;
    }
    if (list === "seen") continue;
    claimed.add(list);
    if (!words[list]) wrong.push(`${name}: the gateway has no table ${list}`);
    else wrong.push(...difference(name, schema.enum.map((word) => word.replace(URN, "")), words[list]));
  }
  for (const verb of words.rollout_verb)
    if (!contract.document.paths[`/api/v1/rollouts/{rollout}/${verb}`]) wrong.push(`there is no operation for the verb ${verb}`);
  if (!contract.document.components.schemas.Selector.description.includes(words.fact.join(", "))) wrong.push("Selector: the facts are others");
  for (const list of Object.keys(words)) if (!claimed.has(list) && !["rollout_verb", "fact"].includes(list)) wrong.push(`nothing in the contract has the words of ${list}`);
  return wrong;
}

/** Every answer that is a problem has a type that goes with its status, and every type is in an answer. */
function checkProblems(contract, problems) {
  const wrong = [];
  const used = new Set(["method-not-allowed"]);
  for (const o of contract.operations)
    for (const status of Object.keys(o.responses))
      for (const type of problemTypes(contract, o, status)) {
        used.add(type);
        if (problems[type] !== Number(status)) wrong.push(`${o.id}: ${type} comes with ${problems[type]}, not ${status}`);
      }
  for (const type of Object.keys(problems)) if (!used.has(type)) wrong.push(`no operation can answer ${type}`);
  return wrong;
}

function checkLimits(contract, limits) {
  const wrong = [];
  for (const [pointer, name] of Object.entries(LIMITS)) {
    const value = contract.resolve(pointer).value;
    if (value !== limits[name]) wrong.push(`${pointer} is ${value}, the gateway's ${name} is ${limits[name]}`);
  }
  return wrong;
}

export function check(contract, told) {
  return [
    ...checkRoutes(contract, told.routes),
    ...checkWords(contract, told.words),
    ...checkProblems(contract, told.problems),
    ...checkLimits(contract, told.limits),
  ];
}

function main([program]) {
  const told = JSON.parse(execFileSync(program, { encoding: "utf8" }));
  const wrong = check(load(), told);
  wrong.forEach((sentence) => console.log(sentence));
  console.log(`${told.routes.length} routes, ${Object.keys(told.words).length} lists of words, ${Object.keys(LIMITS).length} limits: ${wrong.length} mistakes`);
  return wrong.length > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exit(main(process.argv.slice(2)));
