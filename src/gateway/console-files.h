/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The files of the console, as they were built: read once at the start and kept in memory, so that what is served
 * stays of one piece when a package is exchanged under a running gateway. Only what console.json lists is there, and
 * only with the hash that is said there. Pure but for console_load(); immutable afterwards. */

#include "crypto.h"

typedef struct Console Console;

typedef enum ConsoleEncoding {
        CONSOLE_IDENTITY,
        CONSOLE_GZIP,
        CONSOLE_BROTLI,
        _CONSOLE_ENCODING_MAX,
} ConsoleEncoding;

typedef struct ConsoleBody {
        void *data; /* NULL: not there in this encoding */
        size_t size;
        char etag[SHA256_HEX_MAX + 2]; /* with its quotes */
} ConsoleBody;

typedef struct ConsoleFile {
        char *path;       /* "index.html", "assets/index-Ab12.js" */
        const char *type; /* static */
        bool immutable;   /* the name holds a hash of the content */
        ConsoleBody bodies[_CONSOLE_ENCODING_MAX];
} ConsoleFile;

/* -ENOENT: there is no console.json in this directory. Anything else that is wrong is logged. */
int console_load(Console **ret, const char *directory);
Console *console_free(Console *c);
DEFINE_POINTER_CLEANUP(Console, console_free);

const ConsoleFile *console_find(const Console *c, const char *path); /* NULL: there is none */
size_t console_size(const Console *c);                               /* how many files */

/* What an Accept-Encoding header allows of what there is: the smallest. */
ConsoleEncoding console_choose(const ConsoleFile *f, const char *accept_encoding);
const char *console_encoding_to_string(ConsoleEncoding e); /* NULL for identity */
