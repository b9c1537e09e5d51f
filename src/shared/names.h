/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names that several processes must agree on: paths, units, bus names, users. Nothing else holds such a string. */

#define FLEET_PREFIX "/opt/fleet-agent"
#define FLEET_PACKAGE_DIR FLEET_PREFIX "/package"
#define FLEET_BIN_DIR FLEET_PREFIX "/bin"
#define FLEET_LINK_CURRENT "current"
#define FLEET_LINK_GOOD "good"

#define FLEET_CONFIG_DIR "/etc/fleet-agent"
#define FLEET_AGENT_CONF FLEET_CONFIG_DIR "/agent.conf"
#define FLEET_UPDATER_CONF FLEET_CONFIG_DIR "/updater.conf"
#define FLEET_AGENT_STATE_DIR "/var/lib/fleet-agent"
#define FLEET_UPDATER_STATE_DIR "/var/lib/fleet-agent-updater"
#define FLEET_UPDATER_RUNTIME_DIR "/run/fleet-agent-updater"
#define FLEET_TELEMETRY_SOCKET "/run/fleet-agent/telemetry.sock"

#define FLEET_AGENT_USER "fleet-agent"
#define FLEET_AGENT_UNIT "fleet-agent.service"
#define FLEET_AGENT_SOCKET_UNIT "fleet-agent.socket"
#define FLEET_UPDATER_UNIT "fleet-agent-updater.service"
#define FLEET_UPDATE_UNIT "fleet-agent-update.service"                /* transient: applies one update */
#define FLEET_BACKSTOP_TIMER "fleet-agent-backstop.timer"             /* transient: starts the rollback unit */
#define FLEET_RETRY_TIMER "fleet-agent-retry.timer"                   /* transient: pause before another restart */
#define FLEET_SELF_TEST_UNIT "fleet-agent-self-test.service"          /* transient: locked down */
#define FLEET_PROBE_UNIT "fleet-agent-probe.service"                  /* transient: the old agent probes the gateway */
#define FLEET_ROLLBACK_UNIT "fleet-agent-rollback.service"
#define FLEET_RECOVER_UNIT "fleet-agent-recover.service"

#define FLEET_AGENT_BUS_NAME "org.fleetagent.Agent1"
#define FLEET_AGENT_BUS_PATH "/org/fleetagent/Agent1"
#define FLEET_AGENT_BUS_INTERFACE "org.fleetagent.Agent1"
#define FLEET_UPDATER_BUS_NAME "org.fleetagent.Updater1"
#define FLEET_UPDATER_BUS_PATH "/org/fleetagent/Updater1"
#define FLEET_UPDATER_BUS_INTERFACE "org.fleetagent.Updater1"

/* in the environment of --self-test: the version that the binary was signed as */
#define FLEET_SELF_TEST_VERSION "FLEET_SELF_TEST_VERSION"

#define FLEET_JOIN_TOKEN_CREDENTIAL "fleet-agent.join-token"
