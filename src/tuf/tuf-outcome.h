/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How verification ended. Functions of this layer that look at bytes from outside return a negative errno
 * when something broke here (memory, disk), 0 when all is well, and one of these above 0 when the bytes are
 * refused; a sentence for people, naming role and file, then stands in their reterr_message (allocated, the
 * caller's). */

#include "macro.h"

typedef enum TufOutcome {
        TUF_OK = 0,
        TUF_MALFORMED, /* not what its role demands, or outside of the profile (docs/POUF.md) */
        TUF_BAD_SIGNATURE, /* fewer good signatures by distinct keys than the threshold */
        TUF_EXPIRED,
        TUF_ROLLBACK, /* an older version than one already verified, or a role that disappeared */
        TUF_MIX_AND_MATCH, /* not the version, length or hash that the role above it names */
        TUF_TOO_LARGE,
        TUF_MISSING, /* the repository has no such file */
        TUF_TRANSPORT, /* could not be fetched */
        TUF_NOT_FOUND, /* the targets name no such release */
        TUF_NO_TRUSTED_ROOT, /* this program was built without one */
        TUF_FAILED, /* something broke on this machine; the errno says what */
        _TUF_OUTCOME_MAX,
        _TUF_OUTCOME_INVALID = -EINVAL,
} TufOutcome;

const char *tuf_outcome_to_string(TufOutcome o); /* "mix-and-match"; NULL if out of range */
TufOutcome tuf_outcome_from_string(const char *s);

/* Sets *reterr_message (which may be NULL) unless it is set already, and returns outcome: for one-line
 * refusals. */
int tuf_refuse(TufOutcome outcome, char **reterr_message, const char *format, ...) _printf_(3, 4);
