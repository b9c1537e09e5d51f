/* SPDX-License-Identifier: Apache-2.0 */

/* Where the gateway is, whom to trust, and who we are: option, environment, ctl.conf, default, in this
 * order. */

#include <fcntl.h>

#include "alloc-util.h"
#include "conf.h"
#include "crypto.h"
#include "fs-util.h"
#include "gatewayctl.h"
#include "string-util.h"

#define CTL_CONF "/etc/fleet-gateway/ctl.conf"
#define GATEWAY_STATE "/var/lib/fleet-gateway"
#define LOCAL_URL "https://localhost:8443"
#define LOCAL_CA GATEWAY_STATE "/ca.pem"
#define LOCAL_TOKEN GATEWAY_STATE "/admin.token"
#define TOKEN_MAX 512U
#define CA_MAX MIB(1)

typedef struct CtlConf {
        char *url, *ca, *token_file;
} CtlConf;

static void ctl_conf_done(CtlConf *f) {
        free(f->url);
        free(f->ca);
        free(f->token_file);
}

static const ConfItem items[] = {
        { "Gateway", "Url", conf_parse_https_url, offsetof(CtlConf, url) },
        { "Gateway", "CaFile", conf_parse_path, offsetof(CtlConf, ca) },
        { "Gateway", "TokenFile", conf_parse_path, offsetof(CtlConf, token_file) },
        { 0 },
};

/* Takes the first that is set, unless there is an option already. */
static int settle(char **option, const char *environment, const char *conf, const char *fallback) {
        const char *v = getenv(environment);

        if (*option)
                return 0;
        v = !isempty(v) ? v : conf ?: fallback;
        if (!v)
                return 0;
        *option = strdup(v);
        return *option ? 0 : -ENOMEM;
}

static CliExit read_ca(GatewayCtl *c, bool asked) {
        void *pem;
        size_t size;
        int r;

        r = file_read_at(AT_FDCWD, c->ca_path, CA_MAX, &pem, &size);
        if (r == -ENOENT && !asked)
                return CLI_OK; /* then the system's authorities are trusted */
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read the CA certificate %s: %s.", c->ca_path,
                                strerror(-r));
        c->ca_pem = pem;
        if (!strstr(c->ca_pem, "-----BEGIN CERTIFICATE-----"))
                return cli_fail(CLI_ERROR, "%s is no certificate in PEM form.", c->ca_path);
        return CLI_OK;
}

static CliExit set_token(GatewayCtl *c, char *text, const char *from) {
        string_strip(text);
        c->token = text;
        if (isempty(text) || !string_is_safe(text, TOKEN_MAX) || strchr(text, ' '))
                return cli_fail(CLI_AUTH, "There is no token in %s: one line is expected.", from);
        return CLI_OK;
}

static CliExit read_token(GatewayCtl *c, bool asked) {
        const char *e = getenv("FLEET_TOKEN");
        size_t size;
        void *text;
        int r;

        if (!asked && !isempty(e)) {
                text = strdup(e);
                return text ? set_token(c, text, "FLEET_TOKEN") : cli_fail(CLI_ERROR, "Out of memory.");
        }
        r = file_read_at(AT_FDCWD, c->token_path, TOKEN_MAX, &text, &size);
        if (r < 0 && !asked)
                return cli_fail(CLI_AUTH,
                                "A token is needed: --token-file=, FLEET_TOKEN_FILE or FLEET_TOKEN. (On the gateway's own "
                                "machine root may leave it out; " LOCAL_TOKEN ": %s.)",
                                strerror(-r));
        if (r < 0)
                return cli_fail(CLI_AUTH, "Cannot read the token file %s: %s.", c->token_path, strerror(-r));
        return set_token(c, text, c->token_path);
}

CliExit gatewayctl_configure(GatewayCtl *c) {
        _cleanup_(ctl_conf_done) CtlConf f = { 0 };
        bool ca_asked, token_asked;
        CliExit code;
        size_t n;
        int r;

        r = conf_load(CTL_CONF, items, &f);
        if (r >= 0)
                r = settle(&c->gateway, "FLEET_GATEWAY", f.url, LOCAL_URL);
        ca_asked = c->ca_path || !isempty(getenv("FLEET_CA")) || f.ca;
        if (r >= 0)
                r = settle(&c->ca_path, "FLEET_CA", f.ca, LOCAL_CA);
        token_asked = c->token_path || !isempty(getenv("FLEET_TOKEN_FILE")) ||
                      (f.token_file && isempty(getenv("FLEET_TOKEN")));
        if (r >= 0)
                r = settle(&c->token_path, "FLEET_TOKEN_FILE", f.token_file, LOCAL_TOKEN);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read the configuration: %s", strerror(-r));

        if (strncasecmp(c->gateway, "https://", 8) != 0 || isempty(c->gateway + 8))
                return cli_fail(CLI_USAGE, "The gateway's address must be an https:// URL, not \"%s\".",
                                c->gateway);
        for (n = strlen(c->gateway); n > 8 && c->gateway[n - 1] == '/'; n--)
                c->gateway[n - 1] = '\0';

        code = read_ca(c, ca_asked);
        return code == CLI_OK ? read_token(c, token_asked) : code;
}

void gatewayctl_done(GatewayCtl *c) {
        http_client_free(c->http);
        sd_event_unref(c->event);
        if (c->token)
                memory_wipe(c->token, strlen(c->token));
        free(c->token);
        free(c->ca_pem);
        free(c->gateway);
        free(c->ca_path);
        free(c->token_path);
        strv_free(c->labels);
        strv_free(c->scopes);
        strv_free(c->agents);
        json_decref(c->rollout.said);
}
