/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A repository on disk: metadata/ and targets/ as clients see them, staged/ with the work in progress (root
 * and targets under their repository names, with the signatures so far, and the new files below
 * staged/files/). What is published is what timestamp.json leads to, and the highest root. One writer at a
 * time. Errors are logged here. */

#include "tuf-bytes.h"
#include "tuf-metadata.h"

#define REPO_METADATA "metadata"
#define REPO_TARGETS "targets"
#define REPO_STAGED "staged"
#define REPO_STAGED_FILES "staged/files"

typedef struct Repo {
        char *path;
        int dir_fd; /* locked, but for reading */
        TufMetadata *published[_TUF_ROLE_MAX]; /* NULL: nothing yet. Parsed, not verified */
        TufMetadata *staged[_TUF_ROLE_MAX]; /* root and targets alone */
} Repo;

int repo_create(const char *path, Repo **ret); /* directories are made; -EEXIST if it holds a repository */
int repo_open(const char *path, Repo **ret);
/* Knows the root alone, takes no lock and writes nothing: for a copy on a web server. */
int repo_open_for_reading(const char *path, Repo **ret);
Repo *repo_free(Repo *r);
DEFINE_POINTER_CLEANUP(Repo, repo_free);

/* The root that decides who may sign: the staged one if there is one. NULL before init. */
const TufMetadata *repo_root(const Repo *r);
/* The targets that the next publication would have. NULL if there are none yet. */
const TufMetadata *repo_targets(const Repo *r);

/* Parses what is about to be written (our own mistakes show here), replaces what was staged of the role. */
int repo_stage(Repo *r, TufRole role, json_t *envelope);
int repo_unstage(Repo *r, TufRole role);
/* A file of metadata/, durably. */
int repo_write_metadata(Repo *r, TufRole role, uint64_t version, const void *data, size_t size);
/* The envelope of a parsed file, to be changed. */
int repo_envelope(const TufMetadata *m, json_t **ret);

/* Every published root, in order, and the bytes of the lowest one. */
int repo_add_roots(Repo *r, TufBytes *bytes, void **ret_first, size_t *ret_first_size);

/* Is every file that the targets name there (published, or staged when look_at_staged), of the right length
 * and hash? Logs what is wrong. 0, -EBADMSG. */
int repo_check_files(Repo *r, const TufMetadata *targets, bool look_at_staged);
/* Moves the staged files of these targets into targets/. */
int repo_publish_files(Repo *r, const TufMetadata *targets);

/* Does this root carry its own threshold and, unless it is the first, that of the published one? */
bool repo_root_is_complete(const Repo *r, const TufMetadata *root);
/* The first root goes out as soon as it is complete: agents are built with it before there is any
 * release. */
int repo_publish_first_root(Repo *r);
/* "2 of 3 signatures" and, one a line, the keyids of who has not signed. */
void repo_print_signatures(const TufMetadata *root, TufRole role, const TufMetadata *m);
