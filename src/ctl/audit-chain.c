/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-chain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "alloc-util.h"
#include "hex.h"
#include "json.h"
#include "string-util.h"

#define LINE_BEGIN "{\"entry\":"
#define LINE_HASH ",\"hash\":\""
#define LINE_END "\"}"
#define LINE_MISMATCH "\",\"mismatch\":true}"
#define NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"

static int broken(AuditChain *c, uint64_t seq, char **reterr_why, const char *format, ...) _printf_(4, 5);
static int broken(AuditChain *c, uint64_t seq, char **reterr_why, const char *format, ...) {
        va_list ap;
        int r;

        c->bad = seq;
        va_start(ap, format);
        r = vasprintf(reterr_why, format, ap);
        va_end(ap);
        if (r < 0)
                *reterr_why = NULL;
        return r < 0 ? -ENOMEM : 1;
}

/* The parts of "{"entry":TEXT,"hash":"HASH"}": the text is what was hashed, byte for byte. */
static bool take_apart(char *line, const char **ret_text, const char **ret_hash, bool *ret_mismatch) {
        char *p, *next, *hash = NULL;

        if (!startswith(line, LINE_BEGIN))
                return false;
        for (p = line; (next = strstr(p, LINE_HASH)); p = next + 1)
                hash = next;
        if (!hash)
                return false;
        *hash = '\0';
        hash += strlen(LINE_HASH);
        if (strlen(hash) < SHA256_HEX_MAX - 1)
                return false;
        p = hash + SHA256_HEX_MAX - 1;
        *ret_mismatch = streq(p, LINE_MISMATCH);
        if (!*ret_mismatch && !streq(p, LINE_END))
                return false;
        *p = '\0';
        *ret_text = line + strlen(LINE_BEGIN);
        *ret_hash = hash;
        return hex_is_valid(hash, SHA256_SIZE);
}

static int check_spelling(json_t *entry, const char *text, bool *ret) {
        _cleanup_free_ char *again = json_format_sorted(entry);

        if (!again)
                return -ENOMEM;
        *ret = streq(again, text);
        return 0;
}

static int
check_entry(AuditChain *c, json_t *entry, uint64_t seq, const char *hash, bool mismatch, char **reterr_why) {
        const char *prev = json_text(entry, "prev");

        if (c->last == 0 && c->whole && seq != 1)
                return broken(c, 1, reterr_why, "it begins with entry %" PRIu64 ": what was before is gone",
                              seq);
        if (c->last > 0 && seq != c->last + 1)
                return broken(c, c->last + 1, reterr_why,
                              "after entry %" PRIu64 " comes entry %" PRIu64
                              ": what was between them is gone",
                              c->last, seq);
        if (c->last > 0 ? !streq(prev, c->head) : seq == 1 && !streq(prev, NO_HASH))
                return broken(c, seq, reterr_why,
                              "entry %" PRIu64
                              " does not follow from the one before it: the hash that it holds is "
                              "another",
                              seq);
        if (mismatch)
                return broken(c, seq, reterr_why,
                              "entry %" PRIu64
                              " is listed by other values than it holds: the columns beside it were "
                              "changed",
                              seq);
        if (c->first == 0)
                c->first = seq;
        c->last = seq;
        (void) snprintf(c->head, sizeof(c->head), "%s", hash);
        if (c->wanted_head && streq(c->wanted_head, hash))
                c->found_head = true;
        if (streq(json_text(entry, "action"), "audit.lost"))
                c->lost = seq;
        return 0;
}

int audit_chain_line(AuditChain *c, const char *line, size_t size, char **reterr_why) {
        _cleanup_free_ char *copy = NULL;
        _cleanup_json_ json_t *entry = NULL;
        uint8_t sha256[SHA256_SIZE];
        char computed[SHA256_HEX_MAX];
        const char *text, *hash;
        bool mismatch, same;
        uint64_t seq;
        int r;

        if (size > AUDIT_LINE_MAX)
                return broken(c, c->last + 1, reterr_why,
                              "entry %" PRIu64 " is larger than any entry may be", c->last + 1);
        copy = memdup_suffix0(line, size);
        if (!copy)
                return -ENOMEM;
        if (strlen(copy) != size || !take_apart(copy, &text, &hash, &mismatch))
                return broken(c, c->last + 1, reterr_why,
                              "what stands in the place of entry %" PRIu64 " is none: it was damaged",
                              c->last + 1);
        r = json_parse(text, strlen(text), AUDIT_LINE_MAX, &entry, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || json_get_u64(entry, "seq", &seq) < 0 || seq == 0)
                return broken(c, c->last + 1, reterr_why,
                              "what stands in the place of entry %" PRIu64 " has no number: it was damaged",
                              c->last + 1);
        sha256_bytes(text, strlen(text), sha256);
        hex_encode(sha256, sizeof(sha256), computed);
        if (!streq(computed, hash))
                return broken(c, seq, reterr_why, "entry %" PRIu64 " was changed: its hash is %s, not %s",
                              seq, computed, hash);
        r = check_spelling(entry, text, &same);
        if (r < 0)
                return r;
        if (!same)
                return broken(c, seq, reterr_why,
                              "entry %" PRIu64 " was not written by a gateway: its members are in no order",
                              seq);
        return check_entry(c, entry, seq, hash, mismatch, reterr_why);
}

int audit_chain_end(AuditChain *c, char **reterr_why) {
        if (!c->wanted_head || c->found_head)
                return 0;
        return broken(c, c->last + 1, reterr_why,
                      "no entry has the hash %s: the log ends with entry %" PRIu64
                      " and was cut off or rewritten "
                      "since that hash was noted",
                      c->wanted_head, c->last);
}
