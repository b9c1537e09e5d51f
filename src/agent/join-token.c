/* SPDX-License-Identifier: Apache-2.0 */
#include "join-token.h"

#include <fcntl.h>

#include "alloc-util.h"
#include "crypto.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "names.h"
#include "string-util.h"

#define PREFIX "fjt1_"
#define SECRET_HEX 64
#define PIN_HEX 64

JoinToken *join_token_free(JoinToken *t) {
        if (t) {
                secret_free(t->text, t->text_size);
                free(t);
        }
        return NULL;
}

/* One field of n hexadecimal digits ended by end; returns what follows, or NULL. */
static const char *token_field(const char *p, size_t n, char end) {
        return strspn(p, "0123456789abcdef") == n && p[n] == end ? p + n + (end != '\0') : NULL;
}

int join_token_parse(const void *data, size_t size, JoinToken **ret, const char **reterr_why) {
        static const char why_unknown[] =
                        "it does not look like a join token (fjt1_...); create one with 'fleet-gatewayctl "
                        "token create'";
        static const char why_damaged[] =
                        "it is damaged or incomplete; copy the whole token again, on one line";

        if (size > JOIN_TOKEN_MAX) {
                *reterr_why = "it is longer than a join token can be";
                return -EBADMSG;
        }
        _cleanup_(join_token_freep) JoinToken *t = new0(JoinToken, 1);
        if (!t)
                return -ENOMEM;
        t->text = memdup_suffix0(data, size);
        if (!t->text)
                return -ENOMEM;
        t->text_size = size;
        /* in place at the start of the buffer, so that the whole of it can be wiped */
        size_t lead = strspn(t->text, " \t\r\n");
        memmove(t->text, t->text + lead, size - lead + 1);
        size_t n = strcspn(t->text, " \t\r\n");
        if (t->text[n + strspn(t->text + n, " \t\r\n")] != '\0' || memchr(data, '\0', size)) {
                *reterr_why = why_damaged;
                return -EBADMSG;
        }
        t->text[n] = '\0';

        const char *id = startswith(t->text, PREFIX);
        if (!id) {
                *reterr_why = why_unknown;
                return -EBADMSG;
        }
        const char *secret = token_field(id, JOIN_TOKEN_ID_SIZE, '_');
        const char *pin = secret ? token_field(secret, SECRET_HEX, '_') : NULL;
        if (!pin || !token_field(pin, PIN_HEX, '\0') || hex_decode(pin, t->ca_pin, sizeof(t->ca_pin)) < 0) {
                *reterr_why = why_damaged;
                return -EBADMSG;
        }
        memcpy(t->id, id, JOIN_TOKEN_ID_SIZE);
        *ret = TAKE_PTR(t);
        return 0;
}

static int token_load_at(int dir_fd, const char *path, JoinToken **ret, const char **reterr_why) {
        void *data = NULL;
        size_t size = 0;

        int r = file_read_at(dir_fd, path, KIB(4), &data, &size);
        if (r < 0)
                return r;
        r = join_token_parse(data, size, ret, reterr_why);
        secret_free(data, size);
        return r;
}

int join_token_load(const char *path, JoinToken **ret, const char **reterr_why) {
        if (path)
                return token_load_at(AT_FDCWD, path, ret, reterr_why);

        const char *dir = getenv("CREDENTIALS_DIRECTORY");
        if (!dir)
                return -ENOENT;
        _cleanup_close_ int dir_fd = dir_open_at(AT_FDCWD, dir);
        if (dir_fd < 0)
                return dir_fd;
        return token_load_at(dir_fd, FLEET_JOIN_TOKEN_CREDENTIAL, ret, reterr_why);
}
