/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-conf.h"

#include <stdio.h>
#include <sys/socket.h>

#include "conf.h"
#include "log.h"
#include "parse-util.h"
#include "pki-cert.h"
#include "string-util.h"

static const AgentConf conf_defaults = {
        .log_level = LOG_INFO,
        .reconnect_min = 1 * USEC_PER_SEC,
        .reconnect_max = 2 * USEC_PER_MINUTE,
        .connect_timeout = 20 * USEC_PER_SEC,
        .keepalive = 30 * USEC_PER_SEC,
        .low_speed_time = 60 * USEC_PER_SEC,
        .metadata_refresh = 6 * USEC_PER_HOUR,
};

static int parse_agent_id(const char *value, void *target, const char **reterr_why) {
        if (!isempty(value) && !pki_agent_id_is_valid(value)) {
                if (reterr_why)
                        *reterr_why = "an agent id is 1 to 64 of the characters A-Z a-z 0-9 . _ - and "
                                      "begins with a letter or digit";
                return -EINVAL;
        }
        return conf_parse_string(value, target, reterr_why);
}

static const ConfItem conf_items[] = {
        { "Agent", "AgentId", parse_agent_id, offsetof(AgentConf, agent_id) },
        { "Agent", "LogLevel", conf_parse_log_level, offsetof(AgentConf, log_level) },
        { "Gateway", "Address", conf_parse_host_port, offsetof(AgentConf, address) },
        { "Gateway", "EnrollAddress", conf_parse_host_port, offsetof(AgentConf, enroll_address) },
        { "Gateway", "Url", conf_parse_https_url, offsetof(AgentConf, url) },
        { "Gateway", "ReconnectMinSec", conf_parse_sec, offsetof(AgentConf, reconnect_min) },
        { "Gateway", "ReconnectMaxSec", conf_parse_sec, offsetof(AgentConf, reconnect_max) },
        { "Gateway", "ConnectTimeoutSec", conf_parse_sec, offsetof(AgentConf, connect_timeout) },
        { "Gateway", "KeepaliveSec", conf_parse_sec, offsetof(AgentConf, keepalive) },
        { "Update", "AllowedOrigins", conf_parse_strv, offsetof(AgentConf, allowed_origins) },
        { "Update", "SpeedLimit", conf_parse_size, offsetof(AgentConf, speed_limit) },
        { "Update", "LowSpeedTimeSec", conf_parse_sec, offsetof(AgentConf, low_speed_time) },
        { "Update", "MetadataRefreshSec", conf_parse_sec, offsetof(AgentConf, metadata_refresh) },
        { 0 },
};

void agent_conf_done(AgentConf *c) {
        free(c->agent_id);
        free(c->address);
        free(c->enroll_address);
        free(c->url);
        strv_free(c->allowed_origins);
        *c = (AgentConf){ 0 };
}

static void url_strip_slashes(char *url) {
        size_t n = strlen(strempty(url));
        while (n > 0 && url[n - 1] == '/')
                url[--n] = '\0';
}

static char *host_with_port(const char *host, uint16_t port) {
        return strjoinf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, (unsigned) port);
}

/* Address= alone is enough: the other two follow from its host. */
static int conf_complete_gateway(AgentConf *c) {
        _cleanup_free_ char *host = NULL;
        uint16_t port;

        if (!c->address)
                return 0;
        int r = parse_host_port(c->address, AGENT_GATEWAY_PORT, &host, &port);
        if (r < 0)
                return r;
        _cleanup_free_ char *address = host_with_port(host, port);
        if (!address)
                return -ENOMEM;
        free(c->address);
        c->address = TAKE_PTR(address);

        if (!c->enroll_address) {
                c->enroll_address = host_with_port(host, AGENT_ENROLL_PORT);
                if (!c->enroll_address)
                        return -ENOMEM;
        } else {
                _cleanup_free_ char *enroll_host = NULL;
                r = parse_host_port(c->enroll_address, AGENT_ENROLL_PORT, &enroll_host, &port);
                if (r < 0)
                        return r;
                char *enroll = host_with_port(enroll_host, port);
                if (!enroll)
                        return -ENOMEM;
                free(c->enroll_address);
                c->enroll_address = enroll;
        }
        if (!c->url) {
                _cleanup_free_ char *authority = host_with_port(host, AGENT_HTTPS_PORT);
                if (!authority)
                        return -ENOMEM;
                c->url = strjoinf("https://%s", authority);
                if (!c->url)
                        return -ENOMEM;
        }
        url_strip_slashes(c->url);
        return 0;
}

/* Values beyond reason would keep a machine away or hurt the gateway: clamp them and say so. */
static void clamp_usec(const char *key, usec_t *value, usec_t low, usec_t high) {
        usec_t v = CLAMP(*value, low, high);
        if (v == *value)
                return;
        char from[TIMESPAN_MAX], to[TIMESPAN_MAX];
        log_warning("%s=%s is out of range, using %s.", key, timespan_format(*value, from),
                    timespan_format(v, to));
        *value = v;
}

/* Drops origins that could never match, loudly: silence here would look like a download that fails later. */
static void conf_check_origins(AgentConf *c) {
        char **out = c->allowed_origins;
        for (char **in = c->allowed_origins; in && *in; in++) {
                url_strip_slashes(*in);
                const char *rest = startswith(*in, "https://");
                if (isempty(rest) || strpbrk(*in, "?#@ ") || !string_is_safe(*in, 2048)) {
                        log_warning("AllowedOrigins= names '%s', which is no https:// URL; ignoring it.",
                                    *in);
                        free(*in);
                } else
                        *out++ = *in;
        }
        if (out)
                *out = NULL;
}

static int conf_finish(AgentConf *c) {
        clamp_usec("ReconnectMinSec", &c->reconnect_min, 100 * USEC_PER_MSEC, USEC_PER_HOUR);
        clamp_usec("ReconnectMaxSec", &c->reconnect_max, c->reconnect_min, USEC_PER_HOUR);
        clamp_usec("ConnectTimeoutSec", &c->connect_timeout, USEC_PER_SEC, 5 * USEC_PER_MINUTE);
        clamp_usec("KeepaliveSec", &c->keepalive, 5 * USEC_PER_SEC, USEC_PER_HOUR);
        clamp_usec("LowSpeedTimeSec", &c->low_speed_time, USEC_PER_SEC, USEC_PER_HOUR);
        clamp_usec("MetadataRefreshSec", &c->metadata_refresh, USEC_PER_MINUTE, 7 * USEC_PER_DAY);
        conf_check_origins(c);
        return conf_complete_gateway(c);
}

static int conf_from(AgentConf *ret, const char *path, const char *text, size_t size) {
        AgentConf c = conf_defaults;
        int r = text ? conf_parse_buffer(path, text, size, conf_items, &c) : conf_load(path, conf_items, &c);
        if (r >= 0)
                r = conf_finish(&c);
        if (r < 0) {
                agent_conf_done(&c);
                return r;
        }
        *ret = c;
        return 0;
}

int agent_conf_load(AgentConf *ret, const char *path) {
        return conf_from(ret, path, NULL, 0);
}

int agent_conf_parse(AgentConf *ret, const char *name, const char *text, size_t size) {
        return conf_from(ret, name, text, size);
}

static bool url_is_below(const char *url, const char *origin) {
        const char *rest = origin ? startswith(url, origin) : NULL;
        return rest && (*rest == '\0' || *rest == '/');
}

/* "..", "%2e" and the like could climb out of an origin that has a path. */
static bool url_path_is_plain(const char *url) {
        if (strpbrk(url, "?#@\\% ") || !string_is_safe(url, 2048))
                return false;
        for (const char *p = strchr(url + strlen("https://"), '/'); p; p = strchr(p + 1, '/')) {
                size_t n = strcspn(p + 1, "/");
                if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
                        return false;
        }
        return true;
}

bool agent_conf_origin_allowed(const AgentConf *c, const char *url, bool *ret_own) {
        if (!startswith(url, "https://") || !url_path_is_plain(url))
                return false;
        bool own = url_is_below(url, c->url), listed = false;
        STRV_FOREACH(o, c->allowed_origins)
        listed = listed || url_is_below(url, *o);
        if (c->allowed_origins && c->allowed_origins[0] ? !listed : !own)
                return false;
        if (ret_own)
                *ret_own = own;
        return true;
}

static const char *level_name(int level) {
        static const char *const names[] = { "emerg",   "alert",  "crit", "err",
                                             "warning", "notice", "info", "debug" };
        return level >= 0 && level < (int) ELEMENTSOF(names) ? names[level] : "info";
}

int agent_conf_dump(const AgentConf *c, char **ret) {
        _cleanup_free_ char *origins = c->allowed_origins ? strv_join(c->allowed_origins, " ") : strdup("");
        if (!origins)
                return -ENOMEM;
        char *s =
                        strjoinf("[Agent]\nAgentId=%s\nLogLevel=%s\n\n"
                                 "[Gateway]\nAddress=%s\nEnrollAddress=%s\nUrl=%s\n"
                                 "ReconnectMinSec=" USEC_FMT "us\nReconnectMaxSec=" USEC_FMT "us\n"
                                 "ConnectTimeoutSec=" USEC_FMT "us\nKeepaliveSec=" USEC_FMT "us\n\n"
                                 "[Update]\nAllowedOrigins=%s\nSpeedLimit=" USEC_FMT
                                 "\nLowSpeedTimeSec=" USEC_FMT "us\n"
                                 "MetadataRefreshSec=" USEC_FMT "us\n",
                                 strempty(c->agent_id), level_name(c->log_level), strempty(c->address),
                                 strempty(c->enroll_address), strempty(c->url), c->reconnect_min,
                                 c->reconnect_max, c->connect_timeout, c->keepalive, origins, c->speed_limit,
                                 c->low_speed_time, c->metadata_refresh);
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}
