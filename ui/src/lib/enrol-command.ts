// SPDX-License-Identifier: Apache-2.0
// What is run on a machine so that its agent joins. Pure.

export interface EnrolPlace {
  /** How machines call the gateway. */
  host: string;
  /** The port of this console. */
  port: string;
}

const HTTPS_PORT = "8443";

/** "fjt1_ID_SECRET_PIN": the SHA-256 of the gateway's CA, which the agent compares before it trusts. */
export function pinOf(token: string): string {
  return token.split("_").at(-1) ?? "";
}

/** One command to paste, as root. The token goes through standard input, never through a command line that others see. */
export function enrolCommand(place: EnrolPlace, token: string): string {
  const host = place.host.includes(":") && !place.host.startsWith("[") ? `[${place.host}]` : place.host;
  const url = place.port === HTTPS_PORT ? [] : [`Url=https://${host}:${place.port || "443"}`];
  return [
    "sudo sh -eu <<'END'",
    "umask 077",
    "install -d -m 0755 /etc/fleet-agent/agent.conf.d",
    "install -d -m 0700 /etc/credstore",
    "cat >/etc/credstore/fleet-agent.join-token <<'TOKEN'",
    token,
    "TOKEN",
    "cat >/etc/fleet-agent/agent.conf.d/50-gateway.conf <<'CONF'",
    "[Gateway]",
    `Address=${host}:7443`,
    ...url,
    "CONF",
    "chmod 0644 /etc/fleet-agent/agent.conf.d/50-gateway.conf",
    "systemctl restart fleet-agent.service",
    "END",
  ].join("\n");
}
