/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-draw.h"

#include <endian.h>
#include <string.h>

#include "crypto.h"
#include "string-util.h"

/* A hash costs a microsecond and is uniform and independent for every question, which a generator that is
 * seeded anew for each of them would not be. */
uint64_t sim_draw(uint64_t seed, uint32_t number, const char *purpose, const char *text, uint64_t n) {
        struct {
                uint64_t seed, n;
                uint32_t number, purpose_size;
                char texts[128]; /* purpose, text; what is longer goes in as its hash */
        } input = { .seed = htole64(seed), .n = htole64(n), .number = htole32(number) };
        size_t purpose_size = strlen(purpose), text_size = strlen(strempty(text));
        uint8_t digest[SHA256_SIZE];
        uint64_t result;

        assert(purpose_size <= sizeof(input.texts) / 2);
        input.purpose_size = htole32((uint32_t) purpose_size);
        memcpy(input.texts, purpose, purpose_size);
        if (text_size <= sizeof(input.texts) - purpose_size)
                memcpy(input.texts + purpose_size, strempty(text), text_size);
        else
                sha256_bytes(text, text_size, (uint8_t *) input.texts + purpose_size);
        sha256_bytes(&input, sizeof(input), digest);
        memcpy(&result, digest, sizeof(result));
        return le64toh(result);
}

uint32_t sim_draw_below(uint64_t draw, uint32_t end) {
        return (uint32_t) (((draw >> 32) * end) >> 32);
}

bool sim_draw_share(uint64_t draw, uint32_t share) {
        return sim_draw_below(draw, SIM_SHARE_ONE) < share;
}

usec_t sim_draw_span(uint64_t draw, usec_t low, usec_t high) {
        return high <= low ? low : low + draw % (high - low + 1);
}

size_t sim_draw_weighted(uint64_t draw, const unsigned weights[], size_t n) {
        uint32_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += weights[i];
        uint32_t at = sim_draw_below(draw, sum);
        for (size_t i = 0; i < n; i++) {
                if (at < weights[i])
                        return i;
                at -= weights[i];
        }
        return 0;
}
