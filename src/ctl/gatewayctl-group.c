/* SPDX-License-Identifier: Apache-2.0 */

/* Groups: selectors with a name. */

#include "alloc-util.h"
#include "cli-table.h"
#include "gatewayctl.h"
#include "string-util.h"

#define PAGES_MAX 1000U

static CliExit read_groups(GatewayCtl *c, bool counts, json_t **ret) {
        _cleanup_json_ json_t *all = json_array();
        _cleanup_free_ char *cursor = NULL;

        for (unsigned n = 0; n < PAGES_MAX; n++) {
                _cleanup_json_ json_t *page = NULL;
                _cleanup_free_ char *path = NULL;
                const char *next;
                CliExit code;

                path = strjoinf("/api/v1/groups?counts=%s%s%s", counts ? "true" : "false",
                                cursor ? "&cursor=" : "", strempty(cursor));
                if (!path || !all)
                        return cli_fail(CLI_ERROR, "Out of memory.");
                code = api_call(c, "GET", path, NULL, &page);
                if (code != CLI_OK)
                        return code;
                if (json_array_extend(all, json_object_get(page, "groups")) < 0)
                        return cli_fail(CLI_ERROR, "The gateway's answer has no list of groups.");
                next = json_text(page, "next_cursor");
                if (isempty(next)) {
                        *ret = TAKE_PTR(all);
                        return CLI_OK;
                }
                if (free_and_strdup(&cursor, next) < 0)
                        return cli_fail(CLI_ERROR, "Out of memory.");
        }
        return cli_fail(CLI_ERROR, "The list of groups does not end.");
}

static void add_count(CliTable *t, json_t *group, const char *key) {
        uint64_t n = 0;

        (void) json_get_u64(json_object_get(group, "agents"), key, &n);
        cli_table_addf(t, CLI_PLAIN, "%" PRIu64, n);
}

static int print_groups(const GatewayCtl *c, json_t *groups) {
        static const char *const columns[] = { "NAME", "AGENTS", "ONLINE", "SELECTOR", "DESCRIPTION", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        json_t *g;
        size_t i;
        int r;

        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(groups, i, g) {
                cli_table_add(t, CLI_PLAIN, json_text(g, "name"));
                add_count(t, g, "total");
                add_count(t, g, "online");
                cli_table_add(t, CLI_PLAIN, json_text(g, "selector"));
                cli_table_add(t, CLI_PLAIN, json_text(g, "description"));
        }
        return cli_table_print(t, !c->no_legend);
}

CliExit gatewayctl_group_list(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *groups = NULL, *answer = NULL;
        json_t *g;
        CliExit code;
        size_t i;
        int r;

        code = read_groups(c, /* counts= */ c->output != OUTPUT_NAME, &groups);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON) {
                answer =
                                json_pack("{s:O, s:I}", "groups", groups, "total",
                                          (json_int_t) json_array_size(groups));
                return answer ? print_json(c, answer) : cli_fail(CLI_ERROR, "Out of memory.");
        }
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(groups, i, g) cli_print("%s", json_text(g, "name"));
                return CLI_OK;
        }
        r = print_groups(c, groups);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the groups: %s", strerror(-r)) : CLI_OK;
}

/* ---- one ---- */

static CliExit group_path(const char *name, char **ret) {
        _cleanup_free_ char *escaped = url_escape(name);

        *ret = escaped ? strjoinf("/api/v1/groups/%s", escaped) : NULL;
        return *ret ? CLI_OK : cli_fail(CLI_ERROR, "Out of memory.");
}

static void add_time(CliTable *t, const char *name, json_t *group, const char *key) {
        char text[CLI_TIME_MAX];
        usec_t when;

        if (rfc3339_parse(json_text(group, key), &when) >= 0)
                cli_table_field(t, name, CLI_PLAIN, cli_format_time(when, now(CLOCK_REALTIME), text));
}

static int print_versions(const GatewayCtl *c, json_t *versions) {
        static const char *const columns[] = { "VERSION", "AGENTS", NULL };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        uint64_t none;
        json_t *v;
        size_t i;
        int r;

        if (json_array_size(json_object_get(versions, "values")) == 0)
                return 0;
        r = cli_table_new(&t, columns);
        if (r < 0)
                return r;
        json_array_foreach(json_object_get(versions, "values"), i, v) {
                uint64_t n = 0;

                (void) json_get_u64(v, "count", &n);
                cli_table_add(t, CLI_PLAIN, json_text(v, "value"));
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, n);
        }
        if (json_get_u64(versions, "none", &none) >= 0) {
                cli_table_add(t, CLI_DIM, "(none yet)");
                cli_table_addf(t, CLI_PLAIN, "%" PRIu64, none);
        }
        putchar('\n');
        return cli_table_print(t, !c->no_legend);
}

static int print_group(const GatewayCtl *c, json_t *g) {
        json_t *agents = json_object_get(g, "agents");
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        _cleanup_free_ char *count = NULL;
        uint64_t total = 0, online = 0;
        int r;

        (void) json_get_u64(agents, "total", &total);
        (void) json_get_u64(agents, "online", &online);
        count = strjoinf("%" PRIu64 ", %" PRIu64 " online", total, online);
        r = cli_table_new_fields(&t);
        if (r < 0)
                return r;
        cli_table_field(t, "Group", CLI_BOLD, json_text(g, "name"));
        cli_table_field(t, "Selector", CLI_PLAIN, json_text(g, "selector"));
        cli_table_field(t, "Description", CLI_PLAIN, json_text(g, "description"));
        cli_table_field(t, "Agents", CLI_PLAIN, count);
        add_time(t, "Created", g, "created");
        add_time(t, "Updated", g, "updated");
        r = cli_table_print(t, true);
        return r < 0 ? r : print_versions(c, json_object_get(agents, "versions"));
}

static CliExit show_group(const GatewayCtl *c, json_t *g) {
        int r;

        if (c->output == OUTPUT_JSON)
                return print_json(c, g);
        if (c->output == OUTPUT_NAME) {
                cli_print("%s", json_text(g, "name"));
                return CLI_OK;
        }
        r = print_group(c, g);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the group: %s", strerror(-r)) : CLI_OK;
}

CliExit gatewayctl_group_show(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *g = NULL;
        _cleanup_free_ char *path = NULL;
        CliExit code;

        code = group_path(arguments[0], &path);
        if (code == CLI_OK)
                code = api_call(c, "GET", path, NULL, &g);
        return code == CLI_OK ? show_group(c, g) : code;
}

/* ---- changes ---- */

CliExit gatewayctl_group_create(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *g = NULL;
        CliExit code;

        if (!c->selector)
                return cli_fail(CLI_USAGE, "Say who is in it: --selector=env=staging.");
        if (!body || json_set_string(body, "name", arguments[0]) < 0 ||
            json_set_string(body, "selector", c->selector) < 0 ||
            json_set_string(body, "description", c->description) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_post(c, "/api/v1/groups", body, &g);
        return code == CLI_OK ? show_group(c, g) : code;
}

/* What is not named stays as it was read; if somebody changed it in between, the gateway says so. */
CliExit gatewayctl_group_set(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *old = NULL, *body = json_object(), *g = NULL;
        _cleanup_free_ char *path = NULL, *etag = NULL, *match = NULL;
        const char *description;
        CliExit code;

        if (!c->selector && !c->description)
                return cli_fail(CLI_USAGE, "Say what to change: --selector= or --description=.");
        code = group_path(arguments[0], &path);
        if (code == CLI_OK)
                code = api_call_with(c, "GET", path, NULL, NULL, &old, &etag);
        if (code != CLI_OK)
                return code;
        description = c->description ?: json_text(old, "description");
        match = strjoinf("If-Match: %s", etag ?: "*");
        if (!match || !body ||
            json_set_string(body, "selector", c->selector ?: json_text(old, "selector")) < 0 ||
            json_set_string(body, "description", isempty(description) ? NULL : description) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_call_with(c, "PUT", path, match, body, &g, NULL);
        return code == CLI_OK ? show_group(c, g) : code;
}

CliExit gatewayctl_group_remove(char *const *arguments, void *userdata) {
        return api_delete(userdata, "/api/v1/groups", arguments[0]);
}
