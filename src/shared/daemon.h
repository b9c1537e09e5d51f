/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Notifications to the service manager; nothing happens outside of a service. */

#include "macro.h"

void daemon_notify_ready(const char *status);
void daemon_notify_status(const char *format, ...) _printf_(1, 2);
void daemon_notify_stopping(const char *status);

/* No core dumps, no ptrace by the same user: for processes that hold keys. */
int daemon_protect_memory(void);

/* Descriptor passed in by socket activation under this name (FileDescriptorName=); -ENOENT if none. */
int daemon_listen_fd(const char *name);
