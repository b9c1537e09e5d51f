/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The commit that the gateway was built from, "unknown" outside of a checkout. From a generated file. */
extern const char gateway_revision[];
