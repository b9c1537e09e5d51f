/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Text to values, strictly: whole string, no sign, no leading space. -EINVAL on bad text, -ERANGE out of range. */

#include "macro.h"
#include "time-util.h"

int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_u16(const char *s, uint16_t *ret);
int parse_boolean(const char *s);                  /* 1 yes/true/on/1, 0 no/false/off/0, -EINVAL */
int parse_sec(const char *s, usec_t *ret);         /* "90", "1.5s", "3min", "2h 30min", "500ms"; bare number: seconds */
int parse_size(const char *s, uint64_t *ret);      /* "10M", "64K", "1G": binary multiples; bare number: bytes */

/* "host:port", "[v6]:port" or, with default_port > 0, without the port. host is allocated without brackets. */
int parse_host_port(const char *s, uint16_t default_port, char **ret_host, uint16_t *ret_port);
