/* SPDX-License-Identifier: Apache-2.0 */
#include "setup-code.h"

#include <ctype.h>

#include "audit.h"
#include "crypto.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "parse-util.h"
#include "string-util.h"
#include "view.h"

#define SETTING "setup.code"
#define GROUPS 5U
#define GROUP 4U

/* Thirty-two of them, none of which is easily taken for another. */
static const char alphabet[] = "23456789abcdefghijkmnpqrstuvwxyz";

static void hash_code(const char *code, char ret[static SHA256_HEX_MAX]) {
        char plain[SETUP_CODE_MAX] = {};
        uint8_t hash[SHA256_SIZE];
        size_t n = 0;

        for (; *code && n + 1 < sizeof(plain); code++)
                if (!strchr(" -", *code))
                        plain[n++] = (char) tolower((unsigned char) *code);
        sha256_bytes(plain, n, hash);
        hex_encode(hash, sizeof(hash), ret);
        memory_wipe(plain, sizeof(plain));
}

static void generate(char ret[static SETUP_CODE_MAX]) {
        uint8_t bytes[GROUPS * GROUP];
        char *p = ret;

        random_bytes(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++) {
                if (i > 0 && i % GROUP == 0)
                        *p++ = '-';
                *p++ = alphabet[bytes[i] % 32];
        }
        *p = '\0';
        memory_wipe(bytes, sizeof(bytes));
}

static int enter(StoreJob *j, Store *s, usec_t expires) {
        json_t *detail = json_object();

        if (!detail || view_set_time(detail, "expires", expires) < 0) {
                json_decref(detail);
                return -ENOMEM;
        }
        return audit_append(j, s, &audit_actor_gateway, "setup.code", "", 1, detail);
}

int setup_code_make(StoreJob *j, Store *s, int state_fd, usec_t now, char ret[static SETUP_CODE_MAX]) {
        _cleanup_free_ char *setting = NULL;
        usec_t expires = usec_add(now, SETUP_CODE_LIFE);
        char hash[SHA256_HEX_MAX], line[SETUP_CODE_MAX + 1];
        int r;

        generate(ret);
        hash_code(ret, hash);
        setting = strjoinf("%s %" PRIu64, hash, expires);
        if (!setting)
                return -ENOMEM;
        (void) snprintf(line, sizeof(line), "%s\n", ret);
        r = file_write_atomic_at(state_fd, SETUP_CODE_FILE, line, strlen(line), 0600);
        memory_wipe(line, sizeof(line));
        if (r >= 0)
                r = s->ops->setting_put(s, SETTING, setting);
        return r < 0 ? r : enter(j, s, expires);
}

int setup_code_check(Store *s, const char *code, usec_t now) {
        _cleanup_free_ char *setting = NULL;
        char hash[SHA256_HEX_MAX];
        usec_t expires;
        int r;

        r = s->ops->setting_get(s, SETTING, &setting);
        if (r < 0)
                return r;
        if (strlen(setting) < SHA256_HEX_MAX || parse_u64(setting + SHA256_HEX_MAX, &expires) < 0)
                return -EUCLEAN;
        hash_code(code, hash);
        if (!memory_equal_ct(hash, setting, SHA256_HEX_MAX - 1))
                return -EKEYREJECTED;
        return expires <= now ? -EKEYEXPIRED : 0;
}

int setup_code_forget(Store *s) {
        return s->ops->setting_delete(s, SETTING);
}

void setup_code_tell(const char *code, const char *state_directory) {
        log_event(LOG_NOTICE, FLEET_MESSAGE_SETUP_CODE_STR,
                  "MESSAGE=There is no user yet. The setup code for the first one is %s, valid for a day; it is "
                  "also in %s/" SETUP_CODE_FILE ".",
                  code, state_directory, NULL);
}

void setup_code_unlink(int state_fd) {
        int r = unlink_durable_at(state_fd, SETUP_CODE_FILE);

        if (r < 0)
                (void) log_warning_errno(
                                r,
                                "Failed to remove the setup code that is of no use any more, ignoring: %m");
}
