// SPDX-License-Identifier: Apache-2.0
//
// A real gateway on loopback, with the console that was built, a signed repository, and simulated agents. Owns a folder of
// its own and every process that it starts.

import { execFile, spawn } from "node:child_process";
import * as crypto from "node:crypto";
import * as fs from "node:fs";
import * as https from "node:https";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
export const SOURCE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
export const BUILD = path.resolve(process.env.FLEET_TEST_BUILD ?? path.join(SOURCE, "build"));
const CONSOLE = process.env.FLEET_CONSOLE ?? path.join(BUILD, "ui", "console");

export const PASSWORD = "several words do well";

/** A whole update in about a second. */
export const FAST = ["--time=staging:20ms..100ms", "--time=restarting:50ms..200ms", "--time=confirming:200ms", "--time=rolling-back:50ms..200ms"];
/** Slow enough that each step is seen. */
export const SLOW = ["--time=downloading:4s", "--time=staging:2s", "--time=restarting:1s", "--time=confirming:3s"];

export function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** A day of the week on which nobody is just now. */
export function notSoon() {
  return ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][(new Date().getUTCDay() + 3) % 7];
}

/** Waits until it gives something; says what it waited for when it does not. */
export async function until(what, look, timeout = 30_000) {
  const end = Date.now() + timeout;
  for (let pause = 20; ; pause = Math.min(250, pause * 1.5)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${timeout / 1000} s in vain for ${what}`);
    await sleep(pause);
  }
}

function freePort() {
  return new Promise((done, failed) => {
    const server = net.createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function program(name) {
  const places = { "fleet-release": "release", "fleet-gatewayd": "gateway", "fleet-gatewayctl": "ctl", "fleet-simulate": "simulate" };
  return path.join(BUILD, "src", places[name], name);
}

export class Program {
  constructor(name, argv, log, env = {}) {
    this.name = name;
    this.log = log;
    const out = fs.openSync(log, "a");
    this.process = spawn(argv[0], argv.slice(1), { stdio: ["ignore", out, out], env: { ...process.env, ...env } });
    fs.closeSync(out);
    this.ended = new Promise((done) => this.process.once("exit", (code, signal) => done(code ?? signal)));
  }

  get running() {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async stop(signal = "SIGTERM") {
    if (!this.running) return this.ended;
    this.process.kill(signal);
    const late = sleep(15_000).then(() => "late");
    if ((await Promise.race([this.ended, late])) === "late") this.process.kill("SIGKILL");
    return this.ended;
  }
}

export class Lab {
  constructor(name) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), `fleet-console-${name}-`));
    this.state = path.join(this.folder, "gateway");
    this.repository = path.join(this.folder, "repository");
    this.programs = [];
    fs.mkdirSync(this.state);
  }

  spawn(name, argv, env) {
    const p = new Program(name, argv, path.join(this.folder, `${name}.log`), env);
    this.programs.push(p);
    return p;
  }

  async close() {
    for (const p of this.programs.reverse()) await p.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  /** The ends of all logs, for who has to find out what went wrong. */
  logs(lines = 30) {
    return fs
      .readdirSync(this.folder)
      .filter((f) => f.endsWith(".log"))
      .map((f) => `--- ${f}\n${fs.readFileSync(path.join(this.folder, f), "utf8").split("\n").slice(-lines).join("\n")}`)
      .join("\n");
  }

  // ---- the gateway ----

  async startGateway(settings = "") {
    this.httpPort ??= await freePort();
    this.agentPort ??= await freePort();
    this.enrollPort ??= await freePort();
    this.settings = settings || this.settings || "";
    const config = path.join(this.folder, "gateway.conf");
    fs.writeFileSync(
      config,
      "[Gateway]\nName=localhost 127.0.0.1\n" +
        `AgentListen=127.0.0.1:${this.agentPort}\nEnrollListen=127.0.0.1:${this.enrollPort}\n` +
        `HttpListen=127.0.0.1:${this.httpPort}\nAdminListen=\nConsoleDirectory=${CONSOLE}\nHeartbeatIntervalSec=2\n` +
        `[Limits]\nAgentsMax=20000\nHttpConnectionsMax=20000\nHttpConnectionsPerAddressMax=20000\n${this.settings}\n`,
    );
    this.gateway = this.spawn("gateway", [program("fleet-gatewayd"), `--config=${config}`, `--state-directory=${this.state}`]);
    await until("the gateway to answer", async () => {
      if (!this.gateway.running) throw new Error(`the gateway ended: ${this.logs()}`);
      return new Promise((done) => {
        const socket = net.connect(this.httpPort, "127.0.0.1", () => (socket.destroy(), done(true)));
        socket.once("error", () => done(false));
      });
    });
    return this;
  }

  get url() {
    return `https://localhost:${this.httpPort}`;
  }

  setupCode() {
    return fs.readFileSync(path.join(this.state, "setup-code"), "utf8").trim();
  }

  async ctl(...args) {
    const env = {
      PATH: process.env.PATH,
      FLEET_GATEWAY: this.url,
      FLEET_CA: path.join(this.state, "ca.pem"),
      FLEET_TOKEN_FILE: path.join(this.state, "admin.token"),
    };
    return (await run(program("fleet-gatewayctl"), args, { env, timeout: 60_000, maxBuffer: 1 << 26 })).stdout;
  }

  /** As the gateway's own admin, or with another token. */
  async api(method, where, body, { token, headers = {} } = {}) {
    const secret = token ?? fs.readFileSync(path.join(this.state, "admin.token"), "utf8").trim();
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((done, failed) => {
      const request = https.request(
        {
          host: "localhost",
          port: this.httpPort,
          path: `/api/v1${where}`,
          method,
          ca: fs.readFileSync(path.join(this.state, "ca.pem")),
          headers: {
            Authorization: `Bearer ${secret}`,
            ...(payload === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(payload) }),
            ...headers,
          },
        },
        (answer) => {
          let text = "";
          answer.setEncoding("utf8");
          answer.on("data", (piece) => (text += piece));
          answer.on("end", () => done({ status: answer.statusCode, data: text ? JSON.parse(text) : undefined, headers: answer.headers }));
        },
      );
      request.once("error", failed);
      request.end(payload);
    });
  }

  /** The same, and it must succeed. */
  async ask(method, where, body) {
    const { status, data } = await this.api(method, where, body);
    if (status >= 300) throw new Error(`${method} ${where}: ${status} ${JSON.stringify(data)}`);
    return data;
  }

  async makeUser(name, role, password = PASSWORD) {
    await this.ask("POST", "/users", { name, role, password });
  }

  // ---- releases ----

  async releaseTool(...args) {
    await run(program("fleet-release"), ["--repo", this.repository, ...args], { timeout: 60_000 });
  }

  /** Signed with the key that the build's own root trusts. */
  async makeRelease(version, size = 1 << 16) {
    if (!fs.existsSync(this.repository)) fs.cpSync(path.join(BUILD, "trust", "repo"), this.repository, { recursive: true });
    const files = path.join(this.folder, `files-${version}`);
    const key = path.join(BUILD, "trust", "key");
    fs.mkdirSync(files);
    fs.writeFileSync(path.join(files, "agent"), crypto.randomBytes(size));
    fs.writeFileSync(path.join(files, "updater"), crypto.randomBytes(size / 4));
    for (const arch of ["x86_64", "aarch64"]) {
      await this.releaseTool("add", path.join(files, "agent"), path.join(files, "updater"), "--version", version, "--arch", arch, "--os", "linux");
    }
    await this.releaseTool("sign", "targets", "--yes", "--key", key);
    await this.releaseTool("publish", "--yes", "--key", key);
  }

  async release(version, size) {
    await this.makeRelease(version, size);
    await this.ctl("release", "import", this.repository);
  }

  // ---- agents ----

  async simulate(agents, { name = "simulate", first = 0, version = "1.0.0", labels = [], options = FAST } = {}) {
    const config = path.join(this.folder, "simulate.conf");
    fs.writeFileSync(
      config,
      `[Gateway]\nAddress=localhost:${this.agentPort}\nEnrollAddress=localhost:${this.enrollPort}\n` +
        `Url=${this.url}\nReconnectMinSec=100ms\nReconnectMaxSec=1s\n`,
    );
    const token = path.join(this.folder, `${name}.token`);
    if (!fs.existsSync(token)) {
      const more = labels.flatMap((l) => ["--label", l]);
      fs.writeFileSync(token, await this.ctl("token", "create", "--uses", String(agents), ...more), { mode: 0o600 });
    }
    const argv = [program("fleet-simulate"), `--config=${config}`, `--state-directory=${path.join(this.folder, "machines")}`];
    argv.push(`--join-token-file=${token}`, `--agents=${agents}`, `--first=${first}`, `--agent-version=${version}`, ...options);
    return this.spawn(name, argv);
  }

  async waitOnline(agents, timeout = 120_000) {
    await until(`${agents} agents to be online`, async () => (await this.ask("GET", "/agents/summary")).states.online >= agents, timeout);
  }

  async agents(query = "") {
    return (await this.ask("GET", `/agents?fields=narrow&sort=hostname&limit=1000${query}`)).agents;
  }
}
