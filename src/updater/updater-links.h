/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The versions below bin/ and the two links that say which of them runs (current) and which one is proven (good). The
 * links are the truth: a transaction is open exactly while they differ. Every change is durable when it returns. */

#include "macro.h"

typedef struct Links {
        char *current, *good;                              /* versions; NULL: missing, or not a link to a version */
} Links;

int links_read(int bin_fd, Links *ret);
void links_done(Links *l);
#define _cleanup_links_ _cleanup_(links_done)
bool links_differ(const Links *l);                         /* also when only one of them is there */

/* link: FLEET_LINK_CURRENT or FLEET_LINK_GOOD. */
int link_set(int bin_fd, const char *link, const char *version);

/* Going back must also work on a full disk: the link is made in advance, so that going back is one rename, which
 * needs no space. link_go_back() makes do without it when it is not there or not the right one. */
int link_prepare_back(int bin_fd, const char *version);
int link_go_back(int bin_fd, const char *version);
/* The same for good at the commit: a version that has proved itself is not given up because the disk is full. */
int link_prepare_commit(int bin_fd, const char *version);
int link_commit(int bin_fd, const char *version);
/* Removes what was prepared. */
void links_forget_prepared(int bin_fd);

/* Both binaries are regular, not empty and executable. */
bool version_is_usable(int bin_fd, const char *version);

/* Versions that are there, oldest first. */
int versions_list(int bin_fd, char ***ret);
/* "v1.1.0", and ".v1.1.0.new" while it is being filled. */
char *version_directory(const char *version);
char *version_directory_new(const char *version);

/* SHA-256 of bin/v<version>/<file> in hexadecimal. ret holds SHA256_HEX_MAX bytes. */
int version_file_digest(int bin_fd, const char *version, const char *file, char *ret);
/* Removes what whoever was killed has left in a directory of the updater: half-staged versions, temporary names. The
 * caller holds the lock. */
int leftovers_remove(int dir_fd);
/* Removes the versions that are neither named in keep nor among the newest ones, so that no more than max remain
 * unless keep itself has more; removes what is left of interrupted staging, too. Returns how many were removed. */
int versions_prune(int bin_fd, char *const *keep, size_t max);
