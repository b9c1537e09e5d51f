/* SPDX-License-Identifier: Apache-2.0 */

#include "tar.h"

#include <stdio.h>
#include <string.h>

#define SIZE_OCTAL_MAX UINT64_C(077777777777)

/* As it lies in the archive; numbers are octal digits with a NUL behind. */
typedef struct Header {
        char name[TAR_NAME_MAX];
        char mode[8], uid[8], gid[8];
        char size[12], modified[12];
        char checksum[8];
        char type;
        char link[100];
        char magic[6], version[2];
        char user[32], group[32];
        char major[8], minor[8];
        char prefix[155];
        char rest[12];
} Header;
static_assert(sizeof(Header) == TAR_BLOCK, "a header is one block");

static void put_octal(char *field, size_t size, uint64_t v) {
        field[size - 1] = '\0';
        for (size_t i = size - 1; i-- > 0; v >>= 3)
                field[i] = (char) ('0' + (v & 7));
}

static void put_size(char field[static 12], uint64_t v) {
        if (v <= SIZE_OCTAL_MAX) {
                put_octal(field, 12, v);
                return;
        }
        for (size_t i = 12; i-- > 0; v >>= 8)
                field[i] = (char) (v & 0xff);
        field[0] = (char) 0x80;
}

int tar_header(uint8_t ret[static TAR_BLOCK],
               const char *name,
               unsigned mode,
               uint64_t size,
               usec_t modified) {
        size_t length = strlen(name);
        unsigned sum = 0;
        Header h = {};

        if (length == 0 || length >= TAR_NAME_MAX)
                return -ENAMETOOLONG;
        memcpy(h.name, name, length);
        put_octal(h.mode, sizeof(h.mode), mode & 07777);
        put_octal(h.uid, sizeof(h.uid), 0);
        put_octal(h.gid, sizeof(h.gid), 0);
        put_size(h.size, size);
        put_octal(h.modified, sizeof(h.modified), modified / USEC_PER_SEC);
        h.type = name[length - 1] == '/' ? '5' : '0';
        memcpy(h.magic, "ustar", 6);
        memcpy(h.version, "00", 2);
        put_octal(h.major, sizeof(h.major), 0);
        put_octal(h.minor, sizeof(h.minor), 0);

        /* over the header itself, with blanks in the place of the sum */
        memset(h.checksum, ' ', sizeof(h.checksum));
        memcpy(ret, &h, TAR_BLOCK);
        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += ret[i];
        put_octal(h.checksum, 7, sum);
        memcpy(ret, &h, TAR_BLOCK);
        return 0;
}

size_t tar_padding(uint64_t size) {
        return (size_t) ((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}
