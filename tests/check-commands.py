#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-commands.py FLEET-GATEWAYCTL: every command that the journal's catalog, the documentation, the manual pages and the
alert rules tell people to type exists, with the options that they name."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

NAME = "fleet-gatewayctl"
ROOT = Path(__file__).resolve().parents[1]


def quoted(text: str) -> list[str]:
    """In running text: between quotation marks or backticks, also over the end of a line; in parentheses in rules."""
    text = re.sub(r"\s+", " ", text)
    found = re.findall(rf'"({NAME} [^"]+)"', text) + re.findall(rf"`({NAME} [^`]+)`", text)
    return found + re.findall(rf"\(({NAME} [^)]+)\)", text)


def examples(text: str) -> list[str]:
    """Of a manual page: lines between .nf and .fi."""
    text = text.replace("\\e\n", "").replace("\\-", "-").replace("\\(aq", "'")
    blocks = re.findall(r"^\.nf\n(.*?)^\.fi", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith(NAME + " ")]


def commands() -> list[tuple[str, str]]:
    found = []
    for path in (*ROOT.glob("catalog/*"), *ROOT.glob("docs/*.md"), ROOT / "README.md", *ROOT.glob("share/prometheus/*.yml")):
        found += [(path.name, c) for c in quoted(path.read_text())]
    for path in ROOT.glob("man/*.[1-8]"):
        found += [(path.name, c) for c in examples(path.read_text())]
    return found


def ask(program: str, *words: str) -> str:
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, timeout=20)
    return done.stdout if done.returncode == 0 else ""


def words_of(command: str) -> list[str]:
    """Without what the shell does with its output."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|><&;")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|><&;"):
            break
        words.append(word)
    return words[1:]


def judge(program: str, command: str) -> str | None:
    words = words_of(command)
    plain = [w for w in words if not w.startswith("-")]
    for n in (2, 1):
        help_text = ask(program, *plain[:n])
        if help_text.startswith(f"{NAME} {' '.join(plain[:n])}") and len(plain) >= n:
            break
    else:
        return "there is no such command"
    for word in words:
        option = word.split("=")[0]
        if option.startswith("--") and not re.search(rf"{re.escape(option)}\b", help_text):
            return f"{option} does not go with it"
        if re.fullmatch("-[a-z]", option) and f"{option}, --" not in help_text:
            return f"{option} does not go with it"
    return None


def main() -> int:
    program = sys.argv[1]
    found = commands()
    wrong = [f"{where}: {command}: {why}" for where, command in found if (why := judge(program, command))]
    # that it would notice
    for bad in ("rollout stop 7", "rollout show 7 --state=failed", "rollot show 7", "agent list -w"):
        if not judge(program, f"{NAME} {bad}"):
            wrong.append(f"\"{bad}\" was taken for a command")
    if len(found) < 20 or not any("rollout resume" in c for _, c in found):
        wrong.append(f"only {len(found)} commands were found; has a file moved?")
    print("\n".join(wrong) or f"{len(found)} commands exist", file=sys.stderr if wrong else sys.stdout)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
