/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Repositories that are being uploaded, each in a directory of its own below import/, and the way of one
 * into the registry: verify the metadata against a copy of our trust, check every target against it, move
 * targets into place, then metadata with the timestamp last, then the releases into the store. Until then
 * nothing is served of it, and a crash in between leaves what was served before or a repository that is
 * whole. Loop's thread; the work of a commit is done in steps on the worker's. Bounded: imports open at
 * once, files, sizes, idle time; and all uploads together leave the store room to grow. */

#include "audit.h"
#include "registry.h"

typedef struct Gateway Gateway;
typedef struct Imports Imports;
typedef struct Import Import;
typedef struct ImportUpload ImportUpload;

#define IMPORTS_MAX 4U
#define IMPORT_FILES_MAX 16384U
#define IMPORT_METADATA_MAX MIB(1)

int imports_new(Imports **ret, Gateway *g);
Imports *imports_free(Imports *i);
DEFINE_POINTER_CLEANUP(Imports, imports_free);

int imports_begin(Imports *i, const char **ret_id);          /* -ENOBUFS: too many */
Import *imports_get(Imports *i, const char *id);
/* -EBUSY while it is being committed. */
int import_drop(Import *m);

/* path: the segments below files/. Errors: -EINVAL no such place in a repository, -EFBIG, -E2BIG too many
 * files, -ENOSPC (as it is now, with what all uploads have announced), -EBUSY. The upload ends with import_upload_finish() (the file is there) or _free() (it
 * never was). */
int import_upload_new(
                Import *m, const char *const *path, size_t n_path, uint64_t length, ImportUpload **ret);
int import_upload_write(ImportUpload *u, const void *data, size_t size);
int import_upload_finish(ImportUpload *u);                   /* -EMSGSIZE: fewer bytes than announced */
const char *import_upload_path(const ImportUpload *u);
uint64_t import_upload_length(const ImportUpload *u);
ImportUpload *import_upload_free(ImportUpload *u);
DEFINE_POINTER_CLEANUP(ImportUpload, import_upload_free);

typedef struct ImportResult {
        int error;                           /* negative: something broke here */
        char *refusal;                       /* the repository was refused: a sentence for people */
        const char *verification;            /* how verification ended, in a word: "ok", "bad-signature" */
        char **imported;                     /* new versions */
        char **releases;                     /* all versions, oldest first */
        RegistryMetadata metadata;
} ImportResult;

/* The result is the callback's to read only. The import is gone in either case. -EBUSY: another one is being
 * committed, or a file is still on its way. The actor is copied. */
typedef void (*import_on_result_t)(const ImportResult *result, void *userdata);
int import_commit(Import *m, const AuditActor *actor, import_on_result_t on_result, void *userdata);
