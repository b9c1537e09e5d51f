/* SPDX-License-Identifier: Apache-2.0 */

/* The strategy of a rollout, from options and a file. Only the form is checked here; what is too large or
 * makes no sense together says the gateway, by a pointer into the request, which is told in terms of the
 * option it came from. */

#include <fcntl.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "gatewayctl-rollout.h"
#include "parse-util.h"
#include "string-util.h"

#define FILE_MAX MIB(1)

typedef enum ValueKind {
        VALUE_AMOUNT, /* "N" as this member, or "N%" as "percent" */
        VALUE_NUMBER,
        VALUE_NUMBERS,
        VALUE_SHARE,
        VALUE_SPAN,
        VALUE_FLAG,
        VALUE_OFFLINE,
        VALUE_IDS,
        VALUE_WINDOW,
} ValueKind;

/* Where in the strategy the value of an option belongs. */
typedef struct Setting {
        unsigned id;
        const char *option;
        const char *part, *member; /* part NULL: the strategy itself */
        ValueKind kind;
} Setting;

static const Setting settings[] = {
        { OPTION_CANARY, "--canary=", "canary", "count", VALUE_AMOUNT },
        { OPTION_CANARY_AGENT, "--canary-agent=", "canary", "ids", VALUE_IDS },
        { OPTION_CANARY_SUCCESS, "--canary-success=", "canary", "success_percent", VALUE_SHARE },
        { OPTION_CANARY_SOAK, "--canary-soak=", "canary", "soak_sec", VALUE_SPAN },
        { OPTION_CANARY_APPROVAL, "--canary-approval", "canary", "approval", VALUE_FLAG },
        { OPTION_BATCH, "--batch=", "batch", "size", VALUE_AMOUNT },
        { OPTION_RAMP, "--ramp=", "batch", "ramp", VALUE_NUMBERS },
        { OPTION_EVERY, "--every=", "batch", "every_sec", VALUE_SPAN },
        { OPTION_BATCH_SUCCESS, "--batch-success=", "batch", "success_percent", VALUE_SHARE },
        { OPTION_BATCH_SOAK, "--batch-soak=", "batch", "soak_sec", VALUE_SPAN },
        { OPTION_APPROVAL, "--approval", "batch", "approval", VALUE_FLAG },
        { OPTION_MAX_FAILURES, "--max-failures=", "max_failures", "count", VALUE_AMOUNT },
        { OPTION_MAX_IN_FLIGHT, "--max-in-flight=", NULL, "max_in_flight", VALUE_NUMBER },
        { OPTION_ATTEMPTS, "--attempts=", NULL, "attempts", VALUE_NUMBER },
        { OPTION_RETRY_PAUSE, "--retry-pause=", NULL, "retry_pause_sec", VALUE_SPAN },
        { OPTION_OFFLINE, "--offline=", NULL, "offline", VALUE_OFFLINE },
        { OPTION_OFFLINE_WAIT, "--offline-wait=", NULL, "offline_wait_sec", VALUE_SPAN },
        { OPTION_INCLUDE_NEW_AGENTS, "--include-new-agents", NULL, "include_new_agents", VALUE_FLAG },
        { OPTION_SET_DESIRED, "--set-desired", NULL, "set_desired", VALUE_FLAG },
        { OPTION_EMERGENCY, "--emergency", NULL, "emergency", VALUE_FLAG },
        { OPTION_WINDOW, "--window=", NULL, "windows", VALUE_WINDOW },
};

static const Setting *setting_find(unsigned id) {
        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                if (settings[i].id == id)
                        return settings + i;
        return NULL;
}

/* ---- values ---- */

/* "12.5" as 1250: whole hundredths of a percent, which JSON's numbers would blur. */
static int parse_hundredths(const char *s, size_t size, uint32_t *ret) {
        size_t whole = strspn(s, "0123456789");
        uint32_t v = 0, decimals = 0;

        if (whole == 0 || whole > 3 || whole > size)
                return -EINVAL;
        for (size_t i = 0; i < whole; i++)
                v = v * 10 + (uint32_t) (s[i] - '0');
        if (whole < size && s[whole++] != '.')
                return -EINVAL;
        for (; whole < size; whole++, decimals++) {
                if (decimals == 2 || s[whole] < '0' || s[whole] > '9')
                        return -EINVAL;
                v = v * 10 + (uint32_t) (s[whole] - '0');
        }
        for (; decimals < 2; decimals++)
                v *= 10;
        if (s[size - 1] == '.' || v > 10000)
                return -ERANGE;
        *ret = v;
        return 0;
}

static json_t *share_json(uint32_t hundredths) {
        return hundredths % 100 == 0 ? json_integer(hundredths / 100) : json_real(hundredths / 100.0);
}

static int set_share(json_t *o, const char *member, const char *value, const char **reterr_why) {
        size_t n = strlen(value);
        uint32_t hundredths;

        *reterr_why = "a share such as 90% is expected";
        if (n > 0 && value[n - 1] == '%')
                n--;
        if (n == 0 || parse_hundredths(value, n, &hundredths) < 0)
                return -EINVAL;
        return json_set_take(o, member, share_json(hundredths));
}

static int set_number(json_t *o, const char *member, const char *value, const char **reterr_why) {
        uint32_t n;

        *reterr_why = "a number is expected";
        return parse_u32(value, &n) < 0 ? -EINVAL : json_set_u64(o, member, n);
}

/* The last of several counts, in either form. */
static int set_amount(json_t *o, const char *member, const char *value, const char **reterr_why) {
        int r;

        (void) json_object_del(o, member);
        (void) json_object_del(o, "percent");
        r = endswith(value, "%") ? set_share(o, "percent", value, reterr_why) :
                                   set_number(o, member, value, reterr_why);
        *reterr_why = "a number, or a share such as 10%, is expected";
        return r;
}

static int set_span(json_t *o, const char *member, const char *value, const char **reterr_why) {
        usec_t t;

        *reterr_why = "a time span such as 90, 30s, 10m or 1h30m is expected, in whole seconds";
        if (parse_sec(value, &t) < 0 || t == USEC_INFINITY || t % USEC_PER_SEC != 0)
                return -EINVAL;
        return json_set_u64(o, member, t / USEC_PER_SEC);
}

/* The list to which each use of the option adds; new if there is none. */
static json_t *list_of(json_t *o, const char *member) {
        json_t *list = json_object_get(o, member);

        if (list)
                return list;
        list = json_array();
        return json_set_take(o, member, list) < 0 ? NULL : list;
}

static int set_numbers(json_t *o, const char *member, const char *value, const char **reterr_why) {
        _cleanup_strv_free_ char **items = NULL;
        json_t *list = json_array();
        int r = json_set_take(o, member, list);

        *reterr_why = "sizes such as 5,10,20 are expected";
        if (r >= 0)
                r = strv_split(value, ",", &items);
        if (r >= 0 && strv_length(items) == 0)
                return -EINVAL;
        STRV_FOREACH(item, items) {
                uint32_t n;

                if (r >= 0)
                        r = parse_u32(*item, &n);
                if (r >= 0 && json_array_append_new(list, json_integer(n)) < 0)
                        r = -ENOMEM;
        }
        return r;
}

static int set_ids(json_t *o, const char *member, const char *value, const char **reterr_why) {
        _cleanup_strv_free_ char **ids = NULL;
        json_t *list = list_of(o, member);
        int r = list ? strv_split(value, ",", &ids) : -ENOMEM;

        *reterr_why = "ids of agents are expected; \"agent list -o name\" shows them";
        if (r >= 0 && strv_length(ids) == 0)
                return -EINVAL;
        STRV_FOREACH(id, ids) {
                if (r >= 0 && !agent_id_is_plain(*id))
                        r = -EINVAL;
                if (r >= 0 && json_array_append_new(list, json_string(*id)) < 0)
                        r = -ENOMEM;
        }
        return r;
}

static int set_window(json_t *o, const char *member, const char *value, const char **reterr_why) {
        json_t *list = list_of(o, member), *window = NULL;
        int r = list ? rollout_window_parse(value, &window) : -ENOMEM;

        *reterr_why = "days, time, length and zone are expected, as in \"Mon..Fri 22:00 6h Europe/Berlin\"";
        return r < 0 ? r : MIN(json_array_append_new(list, window), 0);
}

static int set_offline(json_t *o, const char *member, const char *value, const char **reterr_why) {
        *reterr_why = "it must be wait or skip";
        if (!streq(value, "wait") && !streq(value, "skip"))
                return -EINVAL;
        return json_set_string(o, member, value);
}

/* ---- options ---- */

/* The object that a setting is a member of; made if it is missing. NULL: out of memory, or it is no object.
 */
static json_t *part_of(json_t *strategy, const Setting *s) {
        json_t *part = s->part ? json_object_get(strategy, s->part) : strategy;

        if (part)
                return json_is_object(part) ? part : NULL;
        part = json_object();
        return json_set_take(strategy, s->part, part) < 0 ? NULL : part;
}

static int setting_take(GatewayCtl *c, const Setting *s, const char *value, const char **reterr_why) {
        json_t *o;

        if (!c->rollout.said)
                c->rollout.said = json_object();
        o = c->rollout.said ? part_of(c->rollout.said, s) : NULL;
        if (!o)
                return -ENOMEM;
        switch (s->kind) {
        case VALUE_AMOUNT:
                return set_amount(o, s->member, value, reterr_why);
        case VALUE_NUMBER:
                return set_number(o, s->member, value, reterr_why);
        case VALUE_NUMBERS:
                return set_numbers(o, s->member, value, reterr_why);
        case VALUE_SHARE:
                return set_share(o, s->member, value, reterr_why);
        case VALUE_SPAN:
                return set_span(o, s->member, value, reterr_why);
        case VALUE_FLAG:
                return json_set_bool(o, s->member, true);
        case VALUE_OFFLINE:
                return set_offline(o, s->member, value, reterr_why);
        case VALUE_IDS:
                return set_ids(o, s->member, value, reterr_why);
        case VALUE_WINDOW:
                return set_window(o, s->member, value, reterr_why);
        }
        return -EINVAL;
}

static int set_text(const char **target, const char *value, const char **reterr_why) {
        *reterr_why = "it must not be empty";
        if (isempty(value))
                return -EINVAL;
        *target = value;
        return 0;
}

int rollout_option(GatewayCtl *c, unsigned id, const char *value, const char **reterr_why) {
        const Setting *s = setting_find(id);

        if (id == OPTION_BATCH)
                c->rollout.batch = value; /* which one, where members are listed */
        if (s)
                return setting_take(c, s, value, reterr_why);
        switch (id) {
        case OPTION_RELEASE:
                return set_text(&c->rollout.release, value, reterr_why);
        case OPTION_STRATEGY_FILE:
                return set_text(&c->rollout.strategy_file, value, reterr_why);
        case OPTION_REASON:
                return set_text(&c->rollout.reason, value, reterr_why);
        case OPTION_WHY:
                return set_text(&c->rollout.why, value, reterr_why);
        case OPTION_DRY_RUN:
                c->rollout.dry_run = true;
                return 0;
        case OPTION_ACTIVE:
                c->rollout.active = true;
                return 0;
        default:
                return -EINVAL;
        }
}

bool rollout_strategy_is_said(const GatewayCtl *c) {
        return c->rollout.said || c->rollout.strategy_file;
}

/* ---- the file ---- */

static CliExit read_file(const char *path, json_t **ret) {
        _cleanup_close_ int opened = -EBADF;
        _cleanup_json_ json_t *v = NULL;
        _cleanup_free_ char *why = NULL;
        _cleanup_free_ void *data = NULL;
        bool is_stdin = streq(path, "-");
        json_t *inner;
        size_t size;
        int r;

        opened = is_stdin ? -EBADF : open(path, O_RDONLY | O_CLOEXEC);
        if (!is_stdin && opened < 0)
                return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_ERROR,
                                "Cannot open the strategy %s: %s", path, strerror(errno));
        r = fd_read_all(is_stdin ? STDIN_FILENO : opened, FILE_MAX, &data, &size);
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read the strategy %s: %s", path, strerror(-r));
        r = json_parse(data, size, FILE_MAX, &v, &why);
        if (r < 0 || !json_is_object(v))
                return cli_fail(CLI_USAGE, "%s: an object of JSON is expected%s%s.", path, why ? ": " : "",
                                strempty(why));
        inner = json_object_get(v, "strategy"); /* what "rollout show" printed */
        *ret = json_is_object(inner) ? json_incref(inner) : TAKE_PTR(v);
        return CLI_OK;
}

/* ---- both ---- */

/* Who says how many, in whatever way, says it instead of what was said before. */
static void drop_amount(json_t *base, json_t *said) {
        static const char *const members[] = { "count", "size", "percent", "ids", NULL };
        bool any = false;

        for (const char *const *m = members; *m; m++)
                any = any || json_object_get(said, *m);
        for (const char *const *m = members; any && *m; m++)
                (void) json_object_del(base, *m);
}

static int merge(json_t *base, json_t *said) {
        const char *key;
        json_t *value;

        json_object_foreach(said, key, value) {
                json_t *part = json_object_get(base, key);

                if (json_is_object(value) && json_is_object(part)) {
                        drop_amount(part, value);
                        if (json_object_update(part, value) < 0)
                                return -ENOMEM;
                } else if (json_object_set(base, key, value) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static CliExit check_canaries(json_t *said) {
        json_t *canary = json_object_get(said, "canary");

        if (json_object_get(canary, "ids") &&
            (json_object_get(canary, "count") || json_object_get(canary, "percent")))
                return cli_fail(CLI_USAGE,
                                "Say either how many canaries are drawn (--canary=), or which ones "
                                "(--canary-agent=).");
        return CLI_OK;
}

CliExit rollout_strategy_read(const GatewayCtl *c, json_t *base, json_t **ret) {
        _cleanup_json_ json_t *strategy = NULL;
        CliExit code;

        *ret = NULL;
        code = check_canaries(c->rollout.said);
        if (code == CLI_OK && c->rollout.strategy_file)
                code = read_file(c->rollout.strategy_file, &strategy);
        if (code != CLI_OK || !rollout_strategy_is_said(c))
                return code;
        if (!strategy)
                strategy = base ? json_deep_copy(base) : json_object();
        if (!strategy || merge(strategy, c->rollout.said) < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        *ret = TAKE_PTR(strategy);
        return CLI_OK;
}

/* ---- who is to blame ---- */

static bool setting_is_said(const GatewayCtl *c, const Setting *s) {
        json_t *o = s->part ? json_object_get(c->rollout.said, s->part) : c->rollout.said;

        return json_object_get(o, s->member) || (s->kind == VALUE_AMOUNT && json_object_get(o, "percent"));
}

/* 2: this very member; 1: the object that it is part of; 0: neither. */
static unsigned setting_fits(const Setting *s, const char *pointer) {
        const char *rest = s->part ? startswith(pointer, s->part) : pointer;

        if (s->part && !rest)
                return 0;
        if (s->part && !*rest)
                return 1;
        if (s->part && *rest++ != '/')
                return 0;
        if (s->kind == VALUE_AMOUNT && streq(rest, "percent"))
                return 2;
        rest = startswith(rest, s->member);
        return rest && (!*rest || *rest == '/') ? 2 : 0;
}

static const char *blame_strategy(const GatewayCtl *c, const char *pointer) {
        for (unsigned how = 2; how > 0; how--)
                for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                        if (setting_fits(settings + i, pointer) == how && setting_is_said(c, settings + i))
                                return settings[i].option;
        return c->rollout.strategy_file ? "--strategy-file=" : NULL;
}

const char *rollout_blame(const GatewayCtl *c, const char *pointer) {
        static const struct {
                const char *pointer, *option;
        } others[] = {
                { "/version", "--release=" },
                { "/target/selector", "--selector=" },
                { "/target/group", "--group=" },
                { "/target/agent", "--agent=" },
                { "/target/ids", "--agent=" },
                { "/description", "--description=" },
                { "/why", "--why=" },
        };
        const char *rest = startswith(pointer, "/strategy");

        if (rest && IN_SET(*rest, '\0', '/'))
                return blame_strategy(c, rest + (*rest == '/'));
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (startswith(pointer, others[i].pointer))
                        return others[i].option;
        return NULL;
}
