#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-layers.sh [ROOT]: a layer includes only itself and what stands before it, header names are unique, and each
# foreign library has the one owner that the table in ARCHITECTURE.md names. Without ROOT it checks this tree, and then
# itself: every kind of violation, planted into a copy, must be found.

set -eu

# layer: which others it may include besides itself
layers='
basic:
shared: basic
tuf: basic shared
pki: basic shared
rpc: basic shared
updater: basic shared tuf
release: basic shared tuf
ctl: basic shared
agent: basic shared tuf pki rpc
gateway: basic shared tuf pki rpc
simulate: basic shared tuf pki rpc agent
payloads: basic shared tuf pki rpc updater agent
'

# foreign header (extended regular expression): files that may include it (expression)
owners='
sodium(\.h|/.*): src/shared/crypto\.[ch]
jansson\.h: src/shared/json\.[ch]
curl/.*: src/shared/http-client\.c
openssl/.*: src/pki/.*
grpc(\+\+|pp)?/.*: src/rpc/.*
protobuf-c/.*: src/rpc/.*
sqlite3\.h: src/gateway/(test-)?store-sqlite[^/]*
microhttpd\.h: src/gateway/http(-server\.c|-internal\.h)
systemd/.*: src/(shared|tuf|pki|rpc|updater|release|ctl|agent|gateway|simulate|payloads)/.*
'

# what test programs may use besides: the channel is tested with real certificates
exceptions='
src/rpc/(test-|rpc-fixture).*: pki
'

# within a layer that may be used, still not for everybody: root'"'"'s part must not be able to reach the network
forbidden='
http-client\.h: src/updater/.*
'

# Every include of the tree as "FILE LINE KIND NAME"; KIND is own ("...") or foreign (<...>).
includes() {
        # shellcheck disable=SC2016
        find src -type f -name '*.[ch]' | LC_ALL=C sort | xargs awk '
                /^[ \t]*#[ \t]*include[ \t]*["<]/ {
                        name = $0
                        sub(/^[^"<]*["<]/, "", name)
                        kind = $0 ~ /^[ \t]*#[ \t]*include[ \t]*"/ ? "own" : "foreign"
                        sub(/[">].*/, "", name)
                        print FILENAME, FNR, kind, name
                }'
}

headers() {
        find src -type f -name '*.h' | LC_ALL=C sort
}

# Reads rules and facts, prints violations.
judge() {
        { printf '%s' "$layers" | sed -n 's/^\(..*\)$/layer \1/p'
          printf '%s' "$owners" | sed -n 's/^\(..*\)$/owner \1/p'
          printf '%s' "$exceptions" | sed -n 's/^\(..*\)$/exception \1/p'
          printf '%s' "$forbidden" | sed -n 's/^\(..*\)$/forbidden \1/p'
          headers | sed 's/^/header /'
          includes | sed 's/^/include /'; } | awk '
                function layer_of(file,   part) { split(file, part, "/"); return part[2] }
                function base(file) { sub(/.*\//, "", file); return file }
                $1 == "layer" {
                        name = $2; sub(/:$/, "", name); known[name] = 1; may[name, name] = 1
                        for (i = 3; i <= NF; i++) may[name, $i] = 1
                }
                $1 == "owner" { pattern = $2; sub(/:$/, "", pattern); who[pattern] = $3 }
                $1 == "forbidden" { pattern = $2; sub(/:$/, "", pattern); not_for[pattern] = $3 }
                $1 == "exception" { pattern = $2; sub(/:$/, "", pattern); excused[pattern] = $3 }
                function excuse(file, layer,   p) {
                        for (p in excused) if (file ~ "^" p && layer == excused[p]) return 1
                        return 0
                }
                $1 == "header" {
                        name = base($2)
                        if (name in home) printf "%s: there is another header of this name, %s\n", $2, home[name]
                        home[name] = $2
                        if (!(layer_of($2) in known)) printf "%s: no layer \"%s\" in check-layers.sh\n", $2, layer_of($2)
                }
                $1 == "include" {
                        where = $2 ":" $3; name = $5; mine = layer_of($2)
                        if ($4 == "own") {
                                if (name ~ /\//) printf "%s: \"%s\" is included by path; headers are included by name\n", where, name
                                if (name in home && !((mine, layer_of(home[name])) in may) && !excuse($2, layer_of(home[name])))
                                        printf "%s: %s includes upwards: \"%s\" is of %s\n", where, mine, name, layer_of(home[name])
                                for (pattern in not_for)
                                        if (name ~ "^(" pattern ")$" && $2 ~ "^(" not_for[pattern] ")$")
                                                printf "%s: \"%s\" must not be used here\n", where, name
                        } else if (name in home)
                                printf "%s: <%s> is a header of this project: include it with quotes\n", where, name
                        for (pattern in who)
                                if (name ~ "^(" pattern ")$" && $2 !~ "^(" who[pattern] ")$")
                                        printf "%s: <%s> belongs to %s alone\n", where, name, who[pattern]
                }'
}

check() {
        found=$(cd "$1" && judge)
        [ -z "$found" ] && return 0
        printf '%s\n' "$found" >&2
        return 1
}

# plant FILE TEXT EXPECTED: with this line at the end of FILE, EXPECTED must be among the complaints.
plant() {
        mkdir -p "$copy/$(dirname "$1")"
        rm -f "$copy/before"
        [ ! -e "$copy/$1" ] || cp -p "$copy/$1" "$copy/before"
        printf '%s\n' "$2" >>"$copy/$1"
        if complaints=$(check "$copy" 2>&1); then
                printf 'check-layers: planted into %s and not found: %s\n' "$1" "$2" >&2
                failed=1
        elif ! printf '%s\n' "$complaints" | grep -q -F "$3"; then
                printf 'check-layers: planted %s into %s; expected "%s", got:\n%s\n' "$2" "$1" "$3" "$complaints" >&2
                failed=1
        fi
        if [ -e "$copy/before" ]; then mv "$copy/before" "$copy/$1"; else rm "$copy/$1"; fi
}

self_check() {
        copy=$(mktemp -d)
        trap 'rm -rf "$copy"' EXIT
        (cd "$root" && find src -type f -name '*.[ch]' -print0 | xargs -0 cp --parents -t "$copy")
        failed=0
        check "$copy" || failed=1
        plant src/basic/planted.c '#include "log.h"' 'basic includes upwards: "log.h" is of shared'
        plant src/basic/hex.c '#include <systemd/sd-event.h>' '<systemd/sd-event.h> belongs to'
        plant src/rpc/planted.c '#include "pki-ca.h"' 'rpc includes upwards: "pki-ca.h" is of pki'
        plant src/agent/planted.c '  #  include <openssl/x509.h>' '<openssl/x509.h> belongs to'
        plant src/agent/planted.c '#include <grpc/grpc.h>' '<grpc/grpc.h> belongs to'
        plant src/tuf/planted.h '#include <jansson.h>' '<jansson.h> belongs to'
        plant src/agent/planted.c '#include "sim-fate.h"' 'agent includes upwards: "sim-fate.h" is of simulate'
        plant src/updater/planted.c '#include "http-client.h"' '"http-client.h" must not be used here'
        plant src/ctl/planted.c '#include "../shared/log.h"' 'included by path'
        plant src/ctl/planted.c '#include <log.h>' 'include it with quotes'
        plant src/ctl/log.h '' 'another header of this name'
        plant src/newlayer/planted.h '' 'no layer "newlayer"'
        return $failed
}

root=${1:-$(dirname "$0")/..}
check "$root" || { printf 'check-layers: see the table of layers in ARCHITECTURE.md\n' >&2; exit 1; }
[ $# -gt 0 ] || self_check
