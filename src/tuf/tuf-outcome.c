/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-outcome.h"

#include <stdarg.h>
#include <stdio.h>

#include "string-util.h"

static const char *const outcome_table[_TUF_OUTCOME_MAX] = {
        [TUF_OK] = "ok",
        [TUF_MALFORMED] = "malformed",
        [TUF_BAD_SIGNATURE] = "bad-signature",
        [TUF_EXPIRED] = "expired",
        [TUF_ROLLBACK] = "rollback",
        [TUF_MIX_AND_MATCH] = "mix-and-match",
        [TUF_TOO_LARGE] = "too-large",
        [TUF_MISSING] = "missing",
        [TUF_TRANSPORT] = "transport",
        [TUF_NOT_FOUND] = "not-found",
        [TUF_NO_TRUSTED_ROOT] = "no-trusted-root",
        [TUF_FAILED] = "failed",
};

const char *tuf_outcome_to_string(TufOutcome o) {
        return (int) o >= 0 && o < _TUF_OUTCOME_MAX ? outcome_table[o] : NULL;
}

TufOutcome tuf_outcome_from_string(const char *s) {
        for (int i = 0; s && i < _TUF_OUTCOME_MAX; i++)
                if (streq(outcome_table[i], s))
                        return (TufOutcome) i;
        return _TUF_OUTCOME_INVALID;
}

int tuf_refuse(TufOutcome outcome, char **reterr_message, const char *format, ...) {
        if (reterr_message && !*reterr_message) {
                va_list ap;
                char *message;

                va_start(ap, format);
                int n = vasprintf(&message, format, ap);
                va_end(ap);
                if (n < 0)
                        return -ENOMEM;
                *reterr_message = message;
        }
        return (int) outcome;
}
