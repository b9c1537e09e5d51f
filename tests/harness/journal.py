# SPDX-License-Identifier: Apache-2.0
"""Reads a container's journal from the host, so that it works after a crash, too."""

import json
from collections.abc import Mapping
from pathlib import Path

from .command import execute

# One journal entry. Values are text, but for the rare binary or repeated field.
Entry = dict[str, object]


class Journal:
    """The persistent journal of one machine, of all its boots.

    The arguments narrow what is read down: to a unit, to what came after a cursor, to entries that
    have all the given fields.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "var/log/journal"

    def entries(
        self,
        unit: str | None = None,
        since: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Entry]:
        """Structured, oldest first. since is a cursor, from cursor() or an entry's __CURSOR."""
        # Not --after-cursor: together with a filter, systemd 252 skips one matching entry too many
        # when the entry at the cursor does not match.
        found = self._read("json", _filters(unit, fields), since)
        entries = [json.loads(line) for line in found.splitlines()]
        return [entry for entry in entries if entry["__CURSOR"] != since]

    def text(
        self,
        unit: str | None = None,
        since: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> str:
        """As a person reads it, with microseconds."""
        if since is not None:
            entries = self.entries(unit, since, fields)
            if not entries:
                return ""
            since = str(entries[0]["__CURSOR"])
        return self._read("short-precise", _filters(unit, fields), since)

    def cursor(self) -> str | None:
        """The place of the newest entry, to read on from later; clocks play no part in it."""
        lines = self._read("json", ["--lines=1"], None).splitlines()
        return json.loads(lines[-1])["__CURSOR"] if lines else None

    def _read(self, form: str, filters: list[str], start: str | None) -> str:
        if not self._folder.is_dir():
            return ""
        argv = ["journalctl", "--quiet", "--no-pager", "--all", f"--directory={self._folder}"]
        argv.append(f"--output={form}")
        if start is not None:
            argv.append(f"--cursor={start}")
        return execute([*argv, *filters]).stdout


def _filters(unit: str | None, fields: Mapping[str, str] | None) -> list[str]:
    filters = [f"--unit={unit}"] if unit is not None else []
    return filters + [f"{name}={value}" for name, value in (fields or {}).items()]
