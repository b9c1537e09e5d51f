/* SPDX-License-Identifier: Apache-2.0 */

/* Users. A password comes from a file, standard input or the terminal, never from the command line. What is
 * changed was read just before, and the gateway refuses if somebody else was quicker. */

#include "alloc-util.h"
#include "cli-table.h"
#include "crypto.h"
#include "gatewayctl.h"
#include "secret-input.h"
#include "string-util.h"

#define USERS_PATH "/api/v1/users"
#define PASSWORD_MAX 256U

/* ---- passwords ---- */

static void password_free(char **p) {
        if (*p)
                secret_free(*p, strlen(*p));
        *p = NULL;
}
#define _cleanup_password_ _cleanup_(password_free)

static CliExit password_fail(const GatewayCtl *c, int error) {
        switch (error) {
        case -ENOTTY:
                return cli_fail(CLI_USAGE,
                                "There is no terminal to ask for a password on: use --password-file=.");
        case -ENODATA:
                return cli_fail(CLI_USAGE, "No password was given.");
        case -EFBIG:
                return cli_fail(CLI_USAGE, "A password may have %u bytes.", PASSWORD_MAX);
        default:
                return cli_fail(CLI_ERROR, "Cannot read the password%s%s: %s",
                                c->password_file ? " from " : "", strempty(c->password_file),
                                strerror(-error));
        }
}

static CliExit password_get(const GatewayCtl *c, const char *name, char **ret) {
        _cleanup_password_ char *one = NULL, *two = NULL;
        _cleanup_free_ char *question = NULL;
        int r;

        if (c->password_file) {
                /* one more for the newline */
                r = secret_read_file(c->password_file, PASSWORD_MAX + 1, /* may_be_stdin= */ true, ret);
                return r < 0 ? password_fail(c, r) : CLI_OK;
        }
        question = strjoinf("Password for %s:", name);
        r = question ? secret_ask(question, PASSWORD_MAX, &one) : -ENOMEM;
        if (r >= 0)
                r = secret_ask("Again:", PASSWORD_MAX, &two);
        if (r < 0)
                return password_fail(c, r);
        if (!streq(one, two))
                return cli_fail(CLI_USAGE, "The two passwords differ; nothing was changed.");
        *ret = TAKE_PTR(one);
        return CLI_OK;
}

static void wipe_member(json_t *body, const char *key) {
        const char *text = json_string_value(json_object_get(body, key));

        if (text)
                memory_wipe((char *) text, strlen(text));
}

/* ---- shown ---- */

CliExit gatewayctl_user_list(char *const *arguments, void *userdata) {
        static const char *const titles[] = {
                "NAME", "ROLE", "DISABLED", "DISPLAY NAME", "LAST LOGIN", NULL
        };
        static const char *const members[] = {
                "name", "role", "disabled", "display_name", "last_login", NULL
        };

        return list_show(userdata, &(ListForm){ USERS_PATH, "users", titles, members });
}

static int print_user(json_t *user) {
        static const struct {
                const char *title, *member;
        } fields[] = {
                { "User", "name" },       { "Display name", "display_name" }, { "Role", "role" },
                { "Created", "created" }, { "Updated", "updated" },           { "Last login", "last_login" },
        };
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        int r;

        r = cli_table_new_fields(&t);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                cli_table_field(t, fields[i].title, i == 0 ? CLI_BOLD : CLI_PLAIN,
                                json_text(user, fields[i].member));
        if (json_is_true(json_object_get(user, "disabled")))
                cli_table_field(t, "Disabled", CLI_BAD, "yes");
        return cli_table_print(t, true);
}

static CliExit show_user(const GatewayCtl *c, json_t *user) {
        int r;

        if (c->output == OUTPUT_JSON)
                return print_json(c, user);
        if (c->output == OUTPUT_NAME) {
                cli_print("%s", json_text(user, "name"));
                return CLI_OK;
        }
        r = print_user(user);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the user: %s", strerror(-r)) : CLI_OK;
}

static char *user_path(const char *name, const char *more) {
        _cleanup_free_ char *escaped = url_escape(name);

        return escaped ? strjoinf(USERS_PATH "/%s%s", escaped, more) : NULL;
}

static CliExit read_user(GatewayCtl *c, const char *name, json_t **ret) {
        _cleanup_free_ char *path = user_path(name, "");

        return path ? api_call(c, "GET", path, NULL, ret) : cli_fail(CLI_ERROR, "Out of memory.");
}

CliExit gatewayctl_user_show(char *const *arguments, void *userdata) {
        _cleanup_json_ json_t *user = NULL;
        CliExit code;

        code = read_user(userdata, arguments[0], &user);
        return code == CLI_OK ? show_user(userdata, user) : code;
}

/* ---- changed ---- */

/* With the revision that was read before. Takes the body; what the gateway answers is shown if that was
 * asked for. */
static CliExit
send_change(GatewayCtl *c, const char *method, const char *name, const char *more, json_t *body) {

        _cleanup_json_ json_t *change = body, *user = NULL, *answer = NULL;
        _cleanup_free_ char *path = user_path(name, more), *whole = user_path(name, ""), *etag = NULL, *header = NULL;
        CliExit code;

        if (!change || !path || !whole)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_call_with(c, "GET", whole, NULL, NULL, &user, &etag);
        if (code != CLI_OK)
                return code;
        if (!etag)
                return cli_fail(CLI_ERROR, "The gateway's answer has no ETag.");
        header = strjoinf("If-Match: %s", etag);
        if (!header)
                return cli_fail(CLI_ERROR, "Out of memory.");
        code = api_call_with(c, method, path, header, change, &answer, NULL);
        wipe_member(change, "password");
        return code == CLI_OK && c->output != OUTPUT_TABLE ? show_user(c, answer) : code;
}

CliExit gatewayctl_user_create(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *body = json_object(), *answer = NULL;
        _cleanup_password_ char *password = NULL;
        CliExit code;
        int r;

        if (!c->role)
                return cli_fail(CLI_USAGE, "Say what the user may do: --role=viewer, operator or admin.");
        code = password_get(c, arguments[0], &password);
        if (code != CLI_OK)
                return code;
        r = body ? json_set_string(body, "name", arguments[0]) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(body, "role", c->role);
        if (r >= 0)
                r = json_set_string(body, "display_name", c->display_name);
        if (r >= 0)
                r = json_set_string(body, "password", password);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Out of memory, or the password is no UTF-8.");
        code = api_call(c, "POST", USERS_PATH, body, &answer);
        wipe_member(body, "password");
        return code == CLI_OK && c->output != OUTPUT_TABLE ? show_user(c, answer) : code;
}

CliExit gatewayctl_user_set_role(char *const *arguments, void *userdata) {
        return send_change(userdata, "PATCH", arguments[0], "", json_pack("{s:s}", "role", arguments[1]));
}

CliExit gatewayctl_user_disable(char *const *arguments, void *userdata) {
        return send_change(userdata, "PATCH", arguments[0], "", json_pack("{s:b}", "disabled", 1));
}

CliExit gatewayctl_user_enable(char *const *arguments, void *userdata) {
        return send_change(userdata, "PATCH", arguments[0], "", json_pack("{s:b}", "disabled", 0));
}

CliExit gatewayctl_user_set_password(char *const *arguments, void *userdata) {
        _cleanup_password_ char *password = NULL;
        CliExit code;

        code = password_get(userdata, arguments[0], &password);
        if (code != CLI_OK)
                return code;
        return send_change(
                        userdata, "PUT", arguments[0], "/password",
                        json_pack("{s:s}", "password", password));
}

CliExit gatewayctl_user_remove(char *const *arguments, void *userdata) {
        CliExit code;

        code = confirm_or_fail(userdata, "Remove user %s, with the sessions and API tokens?", arguments[0]);
        return code == CLI_OK ? api_delete(userdata, USERS_PATH, arguments[0]) : code;
}
