#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# check-man.sh [ROOT]: every setting in a table of configuration has an entry (".It", ".B", ".TP") in the manual page of
# its file; every option of the command lines has one; every page is installed and clean under mandoc -Tlint.

set -eu

# Where the tables are, and the page that describes them.
conf_pages='
src/agent/agent-conf.c man/agent.conf.5
src/updater/updater-conf.c man/updater.conf.5
src/gateway/gateway-conf.c man/gateway.conf.5
src/ctl/gatewayctl-conf.c man/fleet-gatewayctl.1
'
option_pages='
src/ctl/agentctl.c fleet-agentctl
src/ctl/gatewayctl.c fleet-gatewayctl
src/simulate/fleet-simulate.c fleet-simulate
'

# "Section Key" for each row of a ConfItem table.
keys_of() {
        sed -n -E 's/^[[:space:]]*\{ "([A-Za-z]+)", "([A-Za-z]+)", [a-z_]+, offsetof\(.*/\1 \2/p' "$1"
}

# Text of a page without its markup: "\fB\-\-json=\fIMODE" becomes "--json=MODE".
plain() {
        sed -E 's/\\f[BIRP]//g; s/\\-/-/g; s/\\&//g; s/^\.(BI?|BR|IR|RB|IB|I|TP|It Fl|It Cm) ?//; s/"//g' "$1"
}

judge() {
        printf '%s' "$conf_pages" | while read -r table page; do
                [ -n "$table" ] || continue
                [ -e "$table" ] || { echo "$table: not there; check-man.sh names it"; continue; }
                [ -e "$page" ] || { echo "$page: not there; it has to describe the settings of $table"; continue; }
                [ -n "$(keys_of "$table")" ] || echo "$table: no settings found; has the form of the table changed?"
                keys_of "$table" | while read -r section key; do
                        plain "$page" | grep -q "^$key=" || echo "$page: no entry for $key= of [$section] ($table)"
                        plain "$page" | grep -q -F "[$section]" || echo "$page: the section [$section] is not named ($table)"
                done | sort -u
        done
        printf '%s' "$option_pages" | while read -r program name; do
                [ -n "$program" ] || continue
                page=man/$name.1
                completion=completions/bash/$name
                [ -e "$page" ] || { echo "$page: not there; it has to describe $program"; continue; }
                sed -n -E 's/^[[:space:]]*\{ OPTION_[A-Z_]+, .*, "([a-z-]+)", (NULL|"[^"]*"), ".*/\1/p' "$program" |
                        while read -r option; do
                                plain "$page" | grep -q -E "^(-[a-z] ?, *)?--$option(=|$)" || echo "$page: no entry for --$option ($program)"
                                grep -q -e "--$option\>" "$completion" || echo "$completion: --$option is missing ($program)"
                        done
                sed -n -E '/^static const CliVerb/,/^\};/s/^[[:space:]]*\{ "([a-z -]+)",.*/\1/p' "$program" |
                        while read -r verb; do
                                plain "$page" | grep -q -E "^$verb( |$)" || echo "$page: no entry for the command \"$verb\" ($program)"
                                for word in $verb; do
                                        grep -q -w -e "$word" "$completion" || echo "$completion: \"$word\" is missing ($program)"
                                done
                        done
        done
        for page in man/*.[1-8]; do
                [ -e "$page" ] || continue
                grep -q "'$(basename "$page")'" man/meson.build || echo "$page: not in man/meson.build, so that it is not installed"
                head -n 2 "$page" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$page: no SPDX line"
                command -v mandoc >/dev/null || continue
                mandoc -Tlint -Wwarning "$page" | sed 's/^mandoc: //' || true
        done
}

root=${1:-$(dirname "$0")/..}
cd "$root"
command -v mandoc >/dev/null || echo "check-man: mandoc is not installed (tools/deps test), the pages are not linted" >&2
found=$(judge)
[ -z "$found" ] && exit 0
printf '%s\n' "$found" >&2
exit 1
