/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gateway's audit log, checked by who does not have to believe the gateway: lines as it exports them
 * (docs/api.md), in order of their numbers, one call for each. Pure. */

#include "crypto.h"

#define AUDIT_LINE_MAX KIB(64)

typedef struct AuditChain {
        bool whole;                /* the first must have the number 1 */
        const char *wanted_head;   /* a hash that some entry must have; NULL: none */
        uint64_t first, last;      /* numbers; 0: nothing was seen yet */
        char head[SHA256_HEX_MAX]; /* hash of the last one */
        bool found_head;
        uint64_t lost; /* the last entry in which the gateway says that it missed others; 0: none */
        uint64_t bad; /* number of the first entry that is not good, when there is one */
} AuditChain;

/* Without its newline. 0: good; 1: the chain is broken here, with a sentence; -ENOMEM. */
int audit_chain_line(AuditChain *c, const char *line, size_t size, char **reterr_why);
/* After the last line: the same. */
int audit_chain_end(AuditChain *c, char **reterr_why);
