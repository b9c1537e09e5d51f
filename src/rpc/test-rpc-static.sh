#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A program linked with rpc_static must carry with it what has no stable soname, and must leave to the distribution
# what the distribution patches.
set -eu
program=$1

"$program"
needed=$(ldd "$program")
for name in libgrpc libgpr libupb libabsl libaddress_sorting libre2 libcares libprotobuf-c libstdc++ libgcc_s; do
        if printf '%s\n' "$needed" | grep -qF "$name"; then
                echo "$program needs a shared $name:" >&2
                printf '%s\n' "$needed" >&2
                exit 1
        fi
done
for name in libssl.so.3 libcrypto.so.3 libsystemd.so.0 libz.so.1 libc.so.6; do
        if ! printf '%s\n' "$needed" | grep -qF "$name"; then
                echo "$program does not use the distribution's $name:" >&2
                printf '%s\n' "$needed" >&2
                exit 1
        fi
done
