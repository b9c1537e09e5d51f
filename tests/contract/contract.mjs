// SPDX-License-Identifier: Apache-2.0
//
// docs/openapi.yaml for those who hold something against it: operations by method and path, and validators by JSON pointer.
// Nothing here knows the gateway; what is found wrong is returned as sentences.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

export const CONTRACT = fileURLToPath(new URL("../../docs/openapi.yaml", import.meta.url));

const METHODS = ["get", "put", "post", "delete", "patch"];

/** Headers that every HTTP server sends, or that the description of the contract gives to all answers at once. */
const EVERYWHERE = new Set([
  "connection", "content-length", "content-type", "date", "transfer-encoding", "x-content-type-options", "cache-control",
]);

const escape = (part) => part.replaceAll("~", "~0").replaceAll("/", "~1");

export function load(path = CONTRACT) {
  return new Contract(parse(readFileSync(path, "utf8"), { maxAliasCount: 1000 }));
}

export class Contract {
  constructor(document) {
    this.document = document;
    this.seen = new Map(); // schema with x-fleet-words: seen → words that were
    this.ajv = new Ajv2020({ allErrors: true, strict: false, validateSchema: false, multipleOfPrecision: 6 });
    addFormats(this.ajv);
    this.ajv.addKeyword({
      keyword: "x-fleet-words",
      errors: false,
      validate: (name, data, schema) => {
        if (name === "seen") this.seen.set(schema, (this.seen.get(schema) ?? new Set()).add(data));
        return true;
      },
    });
    this.ajv.addSchema(document, "contract");
    this.operations = this.#operations();
  }

  /** Follows references: what stands there, and where. */
  resolve(pointer) {
    let value = this.document;
    let at = "#";
    for (const part of pointer.slice(2).split("/")) {
      value = value?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
      at += `/${part}`;
      if (value?.$ref && Object.keys(value).length === 1) ({ value, at } = this.resolve(value.$ref));
    }
    return { value, at };
  }

  /** Sentences about what is wrong with the data; none: it is as the schema says. */
  validate(pointer, data) {
    const validator = this.ajv.getSchema(`contract${pointer}`);
    if (!validator) throw new Error(`there is no schema at ${pointer}`);
    if (validator(data)) return [];
    return brief(validator.errors);
  }

  #operations() {
    const found = [];
    for (const [path, item] of Object.entries(this.document.paths))
      for (const method of METHODS)
        if (item[method]) found.push(this.#operation(path, item, method));
    // a literal segment goes before one that stands for anything
    return found.sort((a, b) => a.wildness - b.wildness);
  }

  #operation(path, item, method) {
    const pointer = `#/paths/${escape(path)}/${method}`;
    const parameters = [];
    for (const [list, at] of [[item.parameters, `#/paths/${escape(path)}/parameters`], [item[method].parameters, `${pointer}/parameters`]])
      (list ?? []).forEach((_, i) => {
        const { value, at: where } = this.resolve(`${at}/${i}`);
        parameters.push({ ...value, pointer: where });
      });
    const many = new Set(parameters.filter((p) => p["x-fleet-segments"] === "many").map((p) => p.name));
    const names = [];
    const pattern = path.split("/").map((segment) => {
      const name = /^\{(.+)\}$/.exec(segment)?.[1];
      if (!name) return segment.replaceAll(".", "\\.");
      names.push(name);
      return many.has(name) ? "(.+)" : "([^/]+)";
    });
    return {
      ...item[method],
      id: item[method].operationId,
      method: method.toUpperCase(),
      path,
      pointer,
      parameters,
      names,
      many,
      wildness: names.length,
      pattern: new RegExp(`^${pattern.join("/")}$`),
      servers: (item.servers ?? this.document.servers).map((s) => (s.url.startsWith("https:") ? "https" : "admin")),
    };
  }

  /** The operation that a request is for, with the values of its path; or what is the matter with it, as a status. */
  match(server, method, path) {
    const asked = method === "HEAD" ? "GET" : method;
    let status = 404;
    for (const operation of this.operations) {
      const groups = operation.servers.includes(server) && operation.pattern.exec(path);
      if (!groups) continue;
      status = 405;
      if (operation.method === asked)
        return { operation, values: Object.fromEntries(operation.names.map((name, i) => [name, groups[i + 1]])) };
    }
    return { status };
  }

  /** Where the answers of an operation are described: its own, or those that every path may give. */
  answer(matched, status) {
    const base = matched.operation ? `${matched.operation.pointer}/responses` : "#/x-fleet-everywhere";
    const { value, at } = this.resolve(`${base}/${status}`);
    return value && { ...value, pointer: at };
  }

  /** Headers of an answer: those that must be there, and none that is not written down. */
  checkHeaders(answer, headers, replayed) {
    const wrong = [];
    for (const name of Object.keys(answer.headers ?? {})) {
      const { value: header, at } = this.resolve(`${answer.pointer}/headers/${escape(name)}`);
      const text = headers.get(name.toLowerCase());
      if (text !== undefined)
        for (const error of this.validate(`${at}/schema`, this.#typed(`${at}/schema`, text))) wrong.push(`header ${name}: ${error}`);
      else if (header.required || (header["x-fleet-required"] === "unless-replayed" && !replayed)) wrong.push(`header ${name} is missing`);
    }
    const known = new Set(Object.keys(answer.headers ?? {}).map((name) => name.toLowerCase()));
    for (const name of headers.keys())
      if (!known.has(name) && !EVERYWHERE.has(name)) wrong.push(`header ${name} is not in the contract`);
    if (headers.get("x-content-type-options") !== "nosniff") wrong.push("header X-Content-Type-Options is not \"nosniff\"");
    return wrong;
  }

  /** Parameters of a request that was accepted. */
  checkParameters({ operation, values }, query, headers) {
    const wrong = [];
    const rest = new Map(query);
    for (const parameter of operation.parameters) {
      const schema = `${parameter.pointer}/schema`;
      const source = { path: () => values[parameter.name], query: () => rest.get(parameter.name), header: () => headers.get(parameter.name.toLowerCase()) };
      const text = source[parameter.in]();
      if (parameter.in === "query") rest.delete(parameter.name);
      if (text === undefined) {
        if (parameter.required) wrong.push(`${parameter.in} parameter ${parameter.name} is missing`);
        continue;
      }
      for (const error of this.validate(schema, this.#typed(schema, text))) wrong.push(`${parameter.in} parameter ${parameter.name}: ${error}`);
    }
    const quiet = operation.path.startsWith("/api/") ? [] : [...rest.keys()]; // those take whatever comes
    for (const name of rest.keys()) if (!quiet.includes(name)) wrong.push(`query parameter ${name} is not in the contract`);
    return wrong;
  }

  /** Text of a header or a parameter as what its schema asks for. */
  #typed(pointer, text) {
    const { value: schema } = this.resolve(pointer);
    const type = schema.type ?? this.resolve(schema.$ref ?? pointer).value.type;
    if (type === "array") return text.split(",").filter((item) => item !== "");
    if (type === "integer" || type === "number") return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    if (type === "boolean") return { true: true, false: false }[text] ?? text;
    return text;
  }
}

/** The errors that say most: those of the branches that were not meant are left out where others go deeper. */
function brief(errors) {
  const real = errors.filter((e) => !["oneOf", "anyOf", "if", "allOf"].includes(e.keyword));
  const list = real.length > 0 ? real : errors;
  const texts = list.map((e) => {
    const extra = e.params.additionalProperty ?? e.params.unevaluatedProperty ?? e.params.allowedValues?.join("|") ?? "";
    return `${e.instancePath || "/"} ${e.message}${extra === "" ? "" : ` (${extra})`}`;
  });
  return [...new Set(texts)].slice(0, 6);
}
