/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Time zones as the system's database describes them (RFC 9636, TZif), each an object of its own: libc knows
 * only the one of the process. Loading reads a file; everything else is pure. A zone is immutable and
 * belongs to its caller. Times are seconds since 1970 without leap seconds; "local" is what a clock on the
 * wall shows, counted as if it were UTC. */

#include "macro.h"

#define TIMEZONE_NAME_MAX 64U
#define TIMEZONE_FILE_MAX 65536U

typedef struct TimeZone TimeZone;

/* "Europe/Berlin". -EINVAL: that is no name; -ENOENT: the system has no such zone; -EBADMSG: its file is
 * damaged. */
int timezone_load(const char *name, TimeZone **ret);
/* The content of a TZif file of version 2 or above. -EBADMSG, -ENOMEM. */
int timezone_parse(const void *data, size_t size, TimeZone **ret);
TimeZone *timezone_free(TimeZone *z);
DEFINE_POINTER_CLEANUP(TimeZone, timezone_free);

/* Seconds east of Greenwich at this moment. */
int32_t timezone_offset(const TimeZone *z, int64_t t);

/* The first moment at which the wall clock shows this, or something later when it never shows it: a time
 * that the clock skips in spring is the end of the gap, one that it shows twice in autumn is the first of
 * the two. */
int64_t timezone_from_local(const TimeZone *z, int64_t local);

/* Days since 1970-01-01 of the proleptic Gregorian calendar; 0: Sunday to 6: Saturday. */
int64_t civil_to_days(int64_t year, unsigned month, unsigned day);
unsigned weekday_of_days(int64_t days);
