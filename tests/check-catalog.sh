#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-catalog.sh [ROOT]: the ids of src/shared/messages.h and those of the journal catalog are the same, each once,
# each well-formed and each logged somewhere in src. Without ROOT it also checks itself on damaged copies.

set -eu

ids_of_header() {
        sed -n -E 's/^#define (FLEET_MESSAGE_[A-Z_]+_STR) "([0-9a-f]{32})"$/\2 \1/p' src/shared/messages.h | sort
}

ids_of_catalog() {
        sed -n -E 's/^-- ([0-9a-f]{32})$/\1/p' catalog/fleet-agent.catalog | sort
}

judge() {
        defines=$(grep -c '^#define FLEET_MESSAGE_' src/shared/messages.h || true)
        good=$(ids_of_header | wc -l)
        [ "$defines" -eq "$good" ] ||
                echo "src/shared/messages.h: $((defines - good)) of the definitions are no FLEET_MESSAGE_..._STR of 32 hexadecimal digits"
        entries=$(grep -c '^-- ' catalog/fleet-agent.catalog || true)
        [ "$entries" -eq "$(ids_of_catalog | wc -l)" ] ||
                echo "catalog/fleet-agent.catalog: an entry has no id of 32 hexadecimal digits, or a language of its own"

        ids_of_header | cut -d ' ' -f 1 | uniq -d | sed 's|^|src/shared/messages.h: used twice: |'
        ids_of_catalog | uniq -d | sed 's|^|catalog/fleet-agent.catalog: described twice: |'

        scratch=$(mktemp)
        ids_of_catalog >"$scratch"
        ids_of_header | while read -r id name; do
                grep -q "^$id\$" "$scratch" || echo "catalog/fleet-agent.catalog: no entry for $name ($id)"
                grep -rlw --include='*.c' "$name" src | grep -q -v '/test-' ||
                        echo "src/shared/messages.h: nothing in src logs $name; use it or remove it and its entry"
        done
        ids_of_header | cut -d ' ' -f 1 | sort -u | comm -13 - "$scratch" |
                sed 's|^|catalog/fleet-agent.catalog: no such id in src/shared/messages.h: |'
        rm -f "$scratch"

        awk '
                function finish() {
                        if (id != "" && !subject) print "catalog/fleet-agent.catalog: " id " has no Subject:"
                        if (id != "" && !by) print "catalog/fleet-agent.catalog: " id " has no Defined-By:"
                        if (id != "" && !text) print "catalog/fleet-agent.catalog: " id " explains nothing"
                }
                /^-- / { finish(); id = $2; subject = by = text = 0; next }
                /^Subject: ./ { subject = 1; next }
                /^Defined-By: ./ { by = 1; next }
                /^[A-Za-z-]+: / { next }
                NF > 0 { text = 1 }
                END { finish() }
        ' catalog/fleet-agent.catalog
}

check() {
        found=$(cd "$1" && judge)
        [ -z "$found" ] && return 0
        printf '%s\n' "$found" >&2
        return 1
}

# damage SED FILE EXPECTED
damage() {
        cp -p "$copy/$2" "$copy/before"
        sed -i -E "$1" "$copy/$2"
        if complaints=$(check "$copy" 2>&1) || ! printf '%s\n' "$complaints" | grep -q -F "$3"; then
                printf 'check-catalog: after "%s" in %s, "%s" was expected, got:\n%s\n' "$1" "$2" "$3" "$complaints" >&2
                failed=1
        fi
        mv "$copy/before" "$copy/$2"
}

self_check() {
        copy=$(mktemp -d)
        trap 'rm -rf "$copy"' EXIT
        mkdir -p "$copy/catalog"
        cp -r "$root/src" "$copy/src"
        cp "$root/catalog/fleet-agent.catalog" "$copy/catalog/"
        failed=0
        id=$(cd "$copy" && ids_of_header | sed -n '1s/ .*//p')
        name=$(cd "$copy" && ids_of_header | sed -n '1s/.* //p')
        damage "s/^-- $id\$/-- 0123456789abcdef0123456789abcdef/" catalog/fleet-agent.catalog "no entry for $name"
        damage "s/^-- $id\$/-- 0123456789abcdef0123456789abcdef/" catalog/fleet-agent.catalog "no such id"
        damage "s/^(#define $name ).*/\\1\"12\"/" src/shared/messages.h "are no FLEET_MESSAGE_..._STR"
        damage "s/$id/&\\n-- $id/" catalog/fleet-agent.catalog "described twice"
        damage "s/^(#define ).*$id\"\$/\\1FLEET_MESSAGE_NEVER_USED_STR \"$id\"/" src/shared/messages.h "nothing in src logs FLEET_MESSAGE_NEVER_USED_STR"
        damage "/^Subject:/d" catalog/fleet-agent.catalog "has no Subject"
        return $failed
}

root=${1:-$(dirname "$0")/..}
check "$root" || exit 1
[ $# -gt 0 ] || self_check
