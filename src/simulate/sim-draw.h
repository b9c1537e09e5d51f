/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Chance without a state: a draw is a function of the seed, of the machine's number and of what it is for,
 * so that it comes out the same whenever and in whatever order it is made. Pure. */

#include "macro.h"
#include "time-util.h"

/* purpose: a word of the caller's, another one for each question. text and n tell draws of one purpose
 * apart. */
uint64_t sim_draw(uint64_t seed, uint32_t number, const char *purpose, const char *text, uint64_t n);

#define SIM_SHARE_ONE 1000000U /* shares are in parts of a million */

uint32_t sim_draw_below(uint64_t draw, uint32_t end); /* uniform in [0, end) */
bool sim_draw_share(uint64_t draw, uint32_t share);
usec_t sim_draw_span(uint64_t draw, usec_t low, usec_t high); /* uniform, both ends included */
/* An index, as often as its weight says; weights must not all be 0. */
size_t sim_draw_weighted(uint64_t draw, const unsigned weights[], size_t n);
