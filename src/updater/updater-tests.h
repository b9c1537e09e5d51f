/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For the updater's tests alone: a machine's directories below a temporary one. */

#include "updater.h"

typedef struct TestRoot TestRoot;

TestRoot *test_root_new(void);
TestRoot *test_root_free(TestRoot *t);                     /* removes everything */
DEFINE_POINTER_CLEANUP(TestRoot, test_root_free);
UpdaterRoot *test_root_get(TestRoot *t);
/* Without PID 1: what would be started is not, and that is an error to whoever asks. */
Updater *test_root_updater(TestRoot *t);

/* bin/v<version> with two executable files made of content. */
void make_version(UpdaterRoot *root, const char *version, const char *content);
void make_package(UpdaterRoot *root, const char *version, const char *content);
