/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What this machine says of itself: os-release, kernel, architecture, boot, host name, id, packaging. Read
 * once at start. Facts help people to choose machines; nothing about trust hangs on them. Owned by the
 * Agent. */

#include "macro.h"

#define FACT_MAX 256 /* bytes of one text; longer ones are left out */
#define OS_RELEASE_MAX KIB(64)

typedef struct OsRelease {
        char *id; /* never NULL after parsing: "linux" is os-release(5)'s default */
        char *version_id;
        char *pretty_name;
} OsRelease;

/* os-release(5): shell-like assignments. Lines that make no sense are skipped, as that page asks. */
int os_release_parse(const char *text, size_t size, OsRelease *ret);
void os_release_done(OsRelease *o);

typedef struct AgentFacts {
        OsRelease os;
        char *hostname;
        char *kernel;
        char *architecture; /* as in target paths */
        char boot_id[33];
        char machine_id[33]; /* derived for this application; the machine id itself stays here */
        uint32_t packaging;  /* generation of units and bus policy, 0 if unknown */
} AgentFacts;

/* What cannot be read is left empty and said at debug level; the machine id alone is an error when missing
 * and need_machine_id is set. */
int agent_facts_collect(AgentFacts *ret, bool need_machine_id);
void agent_facts_done(AgentFacts *f);

/* The file written by the package: a number alone on its line. 0 or -EINVAL. */
int packaging_parse(const char *text, uint32_t *ret);
