#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-dbus.py [ROOT]: the published interfaces in dbus/ and the tables that the programs serve are the same: names,
signatures, names of arguments, access, and how changes are told. Without ROOT it also checks itself."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SOURCES = {
    "org.fleetagent.Agent1": "src/agent/agent-bus.c",
    "org.fleetagent.Updater1": "src/updater/updater-bus.c",
}
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def split_arguments(text):
    """Top-level commas only."""
    parts, depth, current, quoted = [], 0, "", False
    for c in text:
        if c == '"':
            quoted = not quoted
        if not quoted:
            depth += (c in "({") - (c in ")}")
            if c == "," and depth == 0:
                parts.append(current.strip())
                current = ""
                continue
        current += c
    return [*parts, current.strip()]


def macro_calls(table):
    """("SD_BUS_METHOD_WITH_ARGS", [argument...]) for each entry."""
    position = 0
    while match := re.compile(r"SD_BUS_(?!VTABLE_START|VTABLE_END)([A-Z_]+)\s*\(").search(table, position):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(table[end], 0)
            end += 1
        yield match.group(1), split_arguments(table[match.end() : end - 1])
        position = end


def string(text):
    return "".join(re.findall(r'"([^"]*)"', text))


def pairs(text):
    """SD_BUS_ARGS("s", version, ...) -> [("s", "version"), ...]"""
    match = re.fullmatch(r"SD_BUS_(?:ARGS|RESULT)\s*\((.*)\)", text, re.S)
    if not match:
        if text in ("SD_BUS_NO_ARGS", "SD_BUS_NO_RESULT"):
            return []
        raise ValueError(f"not understood: {text}")
    items = split_arguments(match.group(1))
    return [(string(items[i]), items[i + 1]) for i in range(0, len(items), 2)]


def emits(flags):
    if "PROPERTY_CONST" in flags:
        return "const"
    if "EMITS_CHANGE" in flags:
        return "true"
    return "invalidates" if "EMITS_INVALIDATION" in flags else "false"


def from_source(path):
    found = {}
    text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.S)
    tables = re.findall(r"SD_BUS_VTABLE_START.*?SD_BUS_VTABLE_END", text, re.S)
    if len(tables) != 1:
        raise ValueError(f"{path}: {len(tables)} tables, expected one")
    for kind, a in macro_calls(tables[0]):
        if kind == "METHOD_WITH_ARGS":
            found["method", string(a[0])] = (pairs(a[1]), pairs(a[2]))
        elif kind == "SIGNAL_WITH_ARGS":
            found["signal", string(a[0])] = pairs(a[1])
        elif kind in ("PROPERTY", "WRITABLE_PROPERTY"):
            access = "readwrite" if kind.startswith("WRITABLE") else "read"
            found["property", string(a[0])] = (string(a[1]), access, emits(a[-1]))
        elif kind not in ("ARGS", "RESULT"):
            raise ValueError(f"{path}: SD_BUS_{kind} names no arguments; use the form with names")
    return found


def from_xml(path, interface):
    found = {}
    nodes = [n for n in ElementTree.parse(path).getroot().iter("interface") if n.get("name") == interface]
    if len(nodes) != 1:
        raise ValueError(f"{path}: {len(nodes)} interfaces {interface}")
    for n in nodes[0]:
        args = [(a.get("type"), a.get("name"), a.get("direction")) for a in n.iter("arg")]
        if n.tag == "method":
            found["method", n.get("name")] = tuple(
                [(t, name) for t, name, d in args if d == direction] for direction in ("in", "out")
            )
        elif n.tag == "signal":
            found["signal", n.get("name")] = [(t, name) for t, name, _ in args]
        elif n.tag == "property":
            notes = {a.get("name"): a.get("value") for a in n.iter("annotation")}
            found["property", n.get("name")] = (n.get("type"), n.get("access"), notes.get(EMITS, "true"))
    return found


def compare(root):
    complaints = []
    for interface, source in SOURCES.items():
        xml = root / "dbus" / f"{interface}.xml"
        try:
            published, served = from_xml(xml, interface), from_source(root / source)
        except (OSError, ValueError, ElementTree.ParseError) as e:
            complaints.append(str(e))
            continue
        for key in sorted(published.keys() | served.keys()):
            one, two = published.get(key), served.get(key)
            if one != two:
                complaints.append(f"{interface}: {' '.join(key)}: {xml.name} has {one}, {source} has {two}")
    return complaints


def self_check(root):
    import shutil
    import tempfile

    failed = []
    for file, old, new in [
        ("dbus/org.fleetagent.Updater1.xml", 'name="PendingVersion" type="s"', 'name="PendingVersion" type="t"'),
        ("dbus/org.fleetagent.Updater1.xml", '<method name="Unpin"/>', ""),
        ("dbus/org.fleetagent.Updater1.xml", 'name="metadata" type="a(say)"', 'name="metadata" type="a(sh)"'),
        ("dbus/org.fleetagent.Agent1.xml", 'value="const"', 'value="true"'),
        ("dbus/org.fleetagent.Agent1.xml", 'name="verdict"', 'name="reason"'),
        ("src/agent/agent-bus.c", '"Sessions"', '"Session"'),
    ]:
        with tempfile.TemporaryDirectory() as copy:
            for path in [f"dbus/{i}.xml" for i in SOURCES] + list(SOURCES.values()):
                (Path(copy) / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / path, Path(copy) / path)
            text = (Path(copy) / file).read_text(encoding="utf-8")
            if old not in text:
                failed.append(f"self-check: {old} is not in {file} any more; plant something else")
            (Path(copy) / file).write_text(text.replace(old, new), encoding="utf-8")
            if not compare(Path(copy)):
                failed.append(f"self-check: {old} -> {new} in {file} was not noticed")
    return failed


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    complaints = compare(root)
    if not complaints and len(sys.argv) == 1:
        complaints = self_check(root)
    for c in complaints:
        print(f"check-dbus: {c}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
