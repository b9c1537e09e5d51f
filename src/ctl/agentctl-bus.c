/* SPDX-License-Identifier: Apache-2.0 */

#include "agentctl-bus.h"

#include "names.h"
#include "parse-util.h"
#include "phase.h"
#include "string-util.h"

#define CALL_TIMEOUT (25 * USEC_PER_SEC)
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"
#define ERROR_PREFIX "org.fleetagent.Error."

typedef enum PropertyKind {
        PROPERTY_PLAIN,
        PROPERTY_TIME,     /* Unix time in microseconds -> RFC 3339 */
        PROPERTY_AGE,      /* microseconds -> seconds */
        PROPERTY_DEADLINE, /* CLOCK_BOOTTIME in microseconds -> seconds from now */
} PropertyKind;

typedef struct Property {
        const char *name, *json, *json_second; /* second: of a pair */
        PropertyKind kind;
} Property;

static const Property agent_properties[] = {
        { "Version", "version" },
        { "AgentId", "id" },
        { "Hostname", "hostname" },
        { "Pid", "pid" },
        { "GatewayState", "gateway_state" },
        { "GatewayAddress", "gateway_address" },
        { "Sessions", "sessions" },
        { "DrainSeen", "drain_seen" },
        { "UpdateState", "update_state" },
        { "UpdateProgress", "bytes_done", "bytes_total" },
        { "TargetVersion", "target_version" },
        { "LastError", "last_error" },
        { "ConfigRevision", "config_revision" },
        { "MetadataAge", "metadata_age_sec", .kind = PROPERTY_AGE },
        { "MetadataExpires", "metadata_expires", .kind = PROPERTY_TIME },
        { 0 },
};

static const Property updater_properties[] = {
        { "Version", "version" },
        { "State", "state" },
        { "Transaction", "transaction" },
        { "CurrentVersion", "current_version" },
        { "PreviousVersion", "previous_version" },
        { "PendingVersion", "pending_version" },
        { "Deadline", "deadline_in_sec", .kind = PROPERTY_DEADLINE },
        { "RootVersion", "root_version" },
        { "Floor", "floor" },
        { "PinnedVersion", "pinned_version" },
        { "Packaging", "packaging" },
        { 0 },
};

static const Property *property_find(BusSide side, const char *name) {
        for (const Property *p = side == BUS_AGENT ? agent_properties : updater_properties; p->name; p++)
                if (streq(p->name, name))
                        return p;
        return NULL;
}

const char *agentctl_property_name(BusSide side, const char *property) {
        const Property *p = property_find(side, property);
        return p ? p->json : NULL;
}

CliExit agentctl_bus_open(AgentCtl *c) {
        int r;

        if (c->bus)
                return CLI_OK;
        r = sd_bus_open_system(&c->bus);
        if (r < 0)
                return cli_fail(CLI_ERROR, "The system bus cannot be reached: %s. Is D-Bus running?",
                                strerror(-r));
        (void) sd_bus_set_method_call_timeout(c->bus, CALL_TIMEOUT);
        return CLI_OK;
}

int agentctl_new_call(
                AgentCtl *c, BusSide side, const char *interface, const char *method, sd_bus_message **ret) {
        int r;

        r = sd_bus_message_new_method_call(
                        c->bus, ret, side == BUS_AGENT ? FLEET_AGENT_BUS_NAME : FLEET_UPDATER_BUS_NAME,
                        side == BUS_AGENT ? FLEET_AGENT_BUS_PATH : FLEET_UPDATER_BUS_PATH,
                        interface         ? interface :
                        side == BUS_AGENT ? FLEET_AGENT_BUS_INTERFACE :
                                            FLEET_UPDATER_BUS_INTERFACE,
                        method);
        if (r < 0)
                return r;
        return sd_bus_message_set_auto_start(*ret, side == BUS_UPDATER);
}

static int set_number(json_t *object, const Property *p, uint64_t v) {
        char text[RFC3339_MAX];

        if (v == UINT64_MAX)
                return 0;
        switch (p->kind) {
        case PROPERTY_TIME:
                return v == 0 ? 0 : json_set_string(object, p->json, rfc3339_format(v, text));
        case PROPERTY_AGE:
                return json_set_u64(object, p->json, v / USEC_PER_SEC);
        case PROPERTY_DEADLINE:
                return v == 0 ? 0 :
                                json_set_u64(object, p->json,
                                             usec_sub(v, now(CLOCK_BOOTTIME)) / USEC_PER_SEC);
        default:
                return json_set_u64(object, p->json, v);
        }
}

static int read_pair(sd_bus_message *m, const Property *p, json_t *object) {
        uint64_t one, two;
        int r;

        r = sd_bus_message_read(m, "(tt)", &one, &two);
        if (r < 0)
                return r;
        r = json_set_u64(object, p->json, one);
        return r < 0 ? r : json_set_u64(object, p->json_second, two);
}

/* The contents of a variant of type t. */
static int read_value(sd_bus_message *m, char t, const Property *p, bool keep_empty, json_t *object) {
        union {
                const char *s;
                int b;
                uint32_t u;
                uint64_t t;
        } v;
        int r;

        if (p->json_second)
                return t == '(' ? read_pair(m, p, object) : sd_bus_message_skip(m, NULL);

        switch (t) {
        case 's':
        case 'o':
                r = sd_bus_message_read_basic(m, t, &v.s);
                return r < 0 ? r :
                               json_set_string(object, p->json, isempty(v.s) && !keep_empty ? NULL : v.s);
        case 'b':
                r = sd_bus_message_read_basic(m, t, &v.b);
                return r < 0 ? r : json_set_bool(object, p->json, v.b);
        case 'u':
                r = sd_bus_message_read_basic(m, t, &v.u);
                return r < 0 ? r : set_number(object, p, v.u);
        case 't':
                r = sd_bus_message_read_basic(m, t, &v.t);
                return r < 0 ? r : set_number(object, p, v.t);
        default:
                return sd_bus_message_skip(m, NULL);
        }
}

int agentctl_read_dictionary(sd_bus_message *m, BusSide side, bool keep_empty, json_t *object) {
        const char *name, *contents;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const Property *p;

                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r < 0)
                        return r;
                p = property_find(side, name);
                if (!p)
                        r = sd_bus_message_skip(m, "v");
                else {
                        r = sd_bus_message_enter_container(m, 'v', contents);
                        if (r >= 0)
                                r = read_value(m, contents[0], p, keep_empty, object);
                        if (r >= 0)
                                r = sd_bus_message_exit_container(m);
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool error_is_absent(const sd_bus_error *e) {
        return sd_bus_error_has_names(e, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static int call_into(AgentCtl *c, BusSide side, sd_bus_message *call, json_t *object, sd_bus_error *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call(c->bus, call, CALL_TIMEOUT, reterr, &reply);
        if (r < 0)
                return error_is_absent(reterr) ? -ENXIO : r;
        return agentctl_read_dictionary(reply, side, false, object);
}

int agentctl_read_side(AgentCtl *c, BusSide side, json_t **ret, sd_bus_error *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *more = NULL;
        _cleanup_bus_error_ sd_bus_error ignored = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_t *object = json_object();
        int r;

        if (!object)
                return -ENOMEM;
        r = agentctl_new_call(c, side, PROPERTIES_INTERFACE, "GetAll", &m);
        if (r >= 0)
                r = sd_bus_message_append(
                                m, "s",
                                side == BUS_AGENT ? FLEET_AGENT_BUS_INTERFACE : FLEET_UPDATER_BUS_INTERFACE);
        if (r >= 0)
                r = call_into(c, side, m, object, reterr);
        if (r < 0)
                return r;

        if (side == BUS_AGENT) { /* an agent that does not know more is fine */
                r = agentctl_new_call(c, side, NULL, "GetStatus", &more);
                if (r >= 0)
                        (void) call_into(c, side, more, object, &ignored);
        }
        *ret = TAKE_PTR(object);
        return 0;
}

static int result_set(json_t *object, const char *key, const char *value) {
        char text[RFC3339_MAX];
        uint64_t t;

        if (isempty(value))
                return 0;
        if (streq(key, "time_usec"))
                return parse_u64(value, &t) < 0 ? 0 :
                                                  json_set_string(object, "time", rfc3339_format(t, text));
        if (streq(key, "verdict")) {
                UpdateVerdict v = update_verdict_from_string(value);
                if (v == UPDATE_VERDICT_NONE)
                        return 0;
                int r = json_set_string(object, "verdict_text", v < 0 ? NULL : update_verdict_explain(v));
                if (r < 0)
                        return r;
        }
        return utf8_is_valid(key, strlen(key)) ? json_set_string(object, key, value) : 0;
}

int agentctl_parse_last_result(sd_bus_message *m, json_t **ret) {
        _cleanup_json_ json_t *object = json_object();
        const char *key, *value;
        int r;

        if (!object)
                return -ENOMEM;
        r = sd_bus_message_enter_container(m, 'a', "{ss}");
        while (r >= 0 && (r = sd_bus_message_read(m, "{ss}", &key, &value)) > 0)
                r = result_set(object, key, value);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

int agentctl_read_last_result(AgentCtl *c, json_t **ret, sd_bus_error *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = agentctl_new_call(c, BUS_UPDATER, NULL, "GetLastResult", &m);
        if (r >= 0)
                r = sd_bus_call(c->bus, m, CALL_TIMEOUT, reterr, &reply);
        return r < 0 ? r : agentctl_parse_last_result(reply, ret);
}

/* "org.fleetagent.Error.BelowFloor" -> the verdict "below-floor". */
static UpdateVerdict verdict_from_error(const sd_bus_error *e) {
        const char *camel = startswith(strempty(e->name), ERROR_PREFIX);
        char name[64];
        size_t n = 0;

        if (!camel)
                return _UPDATE_VERDICT_INVALID;
        for (; *camel && n + 2 < sizeof(name); camel++) {
                bool upper = *camel >= 'A' && *camel <= 'Z';
                if (upper && n > 0)
                        name[n++] = '-';
                name[n++] = upper ? (char) (*camel - 'A' + 'a') : *camel;
        }
        name[n] = '\0';
        return *camel ? _UPDATE_VERDICT_INVALID : update_verdict_from_string(name);
}

CliExit agentctl_fail_bus(BusSide side, const char *what, int error, const sd_bus_error *e) {
        const char *text = bus_error_text(e, error);
        UpdateVerdict v = verdict_from_error(e);

        if (v >= 0)
                return cli_fail(v == UPDATE_VERDICT_NOT_FOUND ? CLI_NOT_FOUND :
                                v == UPDATE_VERDICT_INTERNAL  ? CLI_ERROR :
                                                                CLI_CONFLICT,
                                "%s: %s (%s)", what, text, update_verdict_to_string(v));
        if (error_is_absent(e) || error == -ENXIO)
                return cli_fail(CLI_ERROR, "%s: %s", what,
                                side == BUS_AGENT ?
                                                "The agent is not running. See \"systemctl status " FLEET_AGENT_UNIT
                                                "\"." :
                                                "The updater cannot be started over the bus; is fleet-agent installed "
                                                "completely?");
        if (sd_bus_error_has_names(
                            e, SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                            "org.freedesktop.PolicyKit1.Error.NotAuthorized",
                            "org.freedesktop.PolicyKit1.Error.Cancelled"))
                return cli_fail(CLI_AUTH, "%s: Not allowed (%s). Try again as root.", what, text);
        if (sd_bus_error_has_names(e, SD_BUS_ERROR_TIMEOUT, SD_BUS_ERROR_NO_REPLY) || error == -ETIMEDOUT)
                return cli_fail(CLI_TIMEOUT, "%s: There was no answer in time.", what);
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_INVALID_ARGS))
                return cli_fail(CLI_USAGE, "%s: %s", what, text);
        return cli_fail(CLI_ERROR, "%s: %s", what, text);
}
