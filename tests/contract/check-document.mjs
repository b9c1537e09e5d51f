// SPDX-License-Identifier: Apache-2.0
//
// check-document.mjs: rules of docs/openapi.yaml that no linter knows. Every object is closed, so that a member that is not written
// down is found; a part (x-fleet-part), which is open, is used only by what closes it. docs/api.md has a row for each operation and for
// each action of the audit log.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { load } from "./contract.mjs";

const isClosed = (schema) => schema.additionalProperties !== undefined || schema.unevaluatedProperties === false;

class Walk {
  constructor(contract) {
    this.contract = contract;
    this.wrong = [];
  }

  /** closed: something around it refuses what is in none of its parts. */
  schema(schema, at, closed = false) {
    if (typeof schema !== "object") return;
    if (schema.$ref && !closed && this.contract.resolve(schema.$ref).value["x-fleet-part"])
      this.wrong.push(`${at}: ${schema.$ref} is a part, and nothing here closes it`);
    const within = closed || isClosed(schema) || schema["x-fleet-part"] === true;
    if ((schema.type === "object" || schema.properties) && !within) this.wrong.push(`${at}: the object is open`);
    for (const key of ["allOf", "anyOf", "oneOf"]) (schema[key] ?? []).forEach((s, i) => this.#branch(s, `${at}/${key}/${i}`, within, key));
    for (const [name, s] of Object.entries(schema.properties ?? {})) this.schema(s, `${at}/properties/${name}`);
    for (const key of ["items", "additionalProperties"]) if (schema[key]) this.schema(schema[key], `${at}/${key}`);
  }

  /** Beside others in an allOf, what has no type only narrows them. */
  #branch(schema, at, within, key) {
    if (key === "allOf" && schema.properties && !schema.type) return;
    this.schema(schema, at, within);
  }

  content(content, at) {
    for (const [type, media] of Object.entries(content ?? {})) if (media.schema) this.schema(media.schema, `${at}/${type}`);
  }
}

export function check(contract) {
  const walk = new Walk(contract);
  const { schemas, responses } = contract.document.components;
  for (const [name, schema] of Object.entries(schemas)) walk.schema(schema, `#/components/schemas/${name}`);
  for (const [name, response] of Object.entries(responses)) walk.content(response.content, `#/components/responses/${name}`);
  for (const o of contract.operations) {
    if (!/^[a-z]+([A-Z][a-z]+)+$/.test(o.id)) walk.wrong.push(`${o.pointer}: ${o.id} is no verb and noun in camel case`);
    if (o.requestBody) walk.content(contract.resolve(`${o.pointer}/requestBody`).value.content, `${o.id} request`);
    for (const status of Object.keys(o.responses)) walk.content(contract.answer({ operation: o }, status).content, `${o.id} ${status}`);
    for (const parameter of o.parameters) walk.schema(parameter.schema, `${o.id} ${parameter.name}`);
  }
  return walk.wrong;
}

/** The tables of docs/api.md. */
export function checkProse(contract, text) {
  const ours = contract.operations.map((o) => {
    const scope = o["x-fleet-scope"] === "none" ? "" : o["x-fleet-scope"];
    return `| \`${o.method} ${o.path}\` | ${o.id} | ${o["x-fleet-role"]} | ${scope} |`;
  });
  const lines = text.split("\n");
  const theirs = lines.filter((line) => /^\| `[A-Z]+ \//.test(line));
  const told = new Set(lines.flatMap((line) => (/^\| `[a-z-]+\.[a-z-]+`/.test(line) ? line.split("|")[1].match(/[a-z-]+\.[a-z-]+/g) : [])));
  const { enum: actions } = contract.document.components.schemas.AuditAction;
  return [
    ...ours.filter((row) => !theirs.includes(row)).map((row) => `docs/api.md has not: ${row}`),
    ...theirs.filter((row) => !ours.includes(row)).map((row) => `docs/api.md has: ${row}`),
    ...actions.filter((action) => !told.has(action)).map((action) => `docs/api.md does not tell of ${action}`),
    ...[...told].filter((action) => !actions.includes(action)).map((action) => `docs/api.md tells of ${action}`),
  ];
}

function main() {
  const contract = load();
  const wrong = [...check(contract), ...checkProse(contract, readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8"))];
  wrong.forEach((sentence) => console.log(sentence));
  console.log(`${wrong.length} mistakes`);
  return wrong.length > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exit(main());
