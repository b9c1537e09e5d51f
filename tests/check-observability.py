#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-observability.py [ROOT]: dashboard and alert rules ask for numbers that docs/metrics.md has, with the labels that
they have there; Prometheus understands every expression; each alert says what to do, has a chapter in docs/alerts.md,
and a test in which it fires and one in which it does not, which pass. Without ROOT it also checks itself: every kind
of mistake, planted into a copy, must be found. Needs promtool."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

METRICS = "docs/metrics.md"
ALERTS = "docs/alerts.md"
RULES = "share/prometheus/fleet-gateway.rules.yml"
RULE_TESTS = "share/prometheus/fleet-gateway.rules.test.yml"
DASHBOARD = "share/grafana/fleet-gateway.json"

# what Prometheus itself adds
FOREIGN_LABELS = {"job", "instance", "le", "__name__"}
# of the query language, in a place where names of labels stand
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def documented(root: Path) -> dict[str, tuple[str, set[str]]]:
    """name: (type, labels), from the table of names."""
    found = {}
    for line in (root / METRICS).read_text().splitlines():
        cells = [c.strip() for c in line.split("|")]
        if len(cells) == 6 and cells[2] in ("counter", "gauge", "histogram", "info"):
            found[cells[1].strip("`")] = (cells[2], set(re.findall(r"`([^`]*)`", cells[3])))
    return found


def metric_of(name: str, known: dict) -> str | None:
    if name in known:
        return name
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and known.get(base, ("",))[0] == "histogram":
            return base
    return None


def names_and_matchers(expression: str):
    """The metrics that an expression names, each with the labels that it is narrowed by."""
    for m in re.finditer(r"\b((?:fleet|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?", re.sub(GROUPING, "", expression)):
        yield m[1], set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", m[2] or ""))


def judge_expression(where: str, expression: str, known: dict) -> list[str]:
    wrong, labels = [], set(FOREIGN_LABELS)
    for name, matchers in names_and_matchers(expression):
        if name == "up":
            continue
        metric = metric_of(name, known)
        if metric is None:
            wrong.append(f"{where}: there is no {name} in {METRICS}")
            continue
        labels |= known[metric][1]
        for label in matchers - known[metric][1] - FOREIGN_LABELS:
            wrong.append(f"{where}: {name} has no label {label}")
    for group in GROUPING.findall(expression):
        for label in {g.strip() for g in group.split(",") if g.strip()} - labels:
            wrong.append(f"{where}: nothing in it has a label {label}")
    return wrong


def expressions_of_rules(root: Path):
    """(alert, expression, whole text of the rule). The file is ours, so its form is known."""
    for text in re.split(r"^      - alert: ", (root / RULES).read_text(), flags=re.M)[1:]:
        m = re.search(r"^        expr: (?:>-\n((?:          .*\n)+)|(.*)\n)", text, flags=re.M)
        yield text.split("\n", 1)[0], " ".join((m[1] or m[2]).split()) if m else "", text


def panels_of(root: Path) -> list[dict]:
    return json.loads((root / DASHBOARD).read_text())["panels"]


def promtool(*arguments, folder=None) -> list[str]:
    done = subprocess.run(["promtool", *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"promtool {arguments[0]} {arguments[1]}: {done.stdout}{done.stderr}"]


def judge_dashboard(root: Path, known: dict) -> list[str]:
    wrong, seen, rules = [], set(), []
    whole = json.loads((root / DASHBOARD).read_text())
    if whole["schemaVersion"] < 38:
        wrong.append(f"{DASHBOARD}: the schema is older than that of Grafana 10")
    if not any(v["name"] == "datasource" and v["type"] == "datasource" for v in whole["templating"]["list"]):
        wrong.append(f"{DASHBOARD}: no variable for the data source")
    places: dict[tuple[int, int], str] = {}
    for panel in whole["panels"]:
        where = f"{DASHBOARD}: {panel['title']}"
        if panel["id"] in seen:
            wrong.append(f"{where}: its id is used twice")
        seen.add(panel["id"])
        g = panel["gridPos"]
        for place in ((x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])):
            if place[0] >= 24 or places.setdefault(place, where) != where:
                wrong.append(f"{where}: lies over another panel or the edge")
                break
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            wrong.append(f"{where}: no description")
        for asks in (panel, *panel["targets"]):
            if asks["datasource"]["uid"] != "${datasource}":
                wrong.append(f"{where}: asks another data source than the variable's")
        for target in panel["targets"]:
            wrong += judge_expression(where, target["expr"], known)
            plain = re.sub(r"\$__rate_interval", "5m", target["expr"])
            rules.append({"record": "x:x", "expr": re.sub(r"\$\w+", "x", plain)})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump({"groups": [{"name": f"g{i}", "rules": [r]} for i, r in enumerate(rules)]}, f)
        f.flush()
        return wrong + promtool("check", "rules", f.name)


def judge_rules(root: Path, known: dict) -> list[str]:
    wrong, alerts = [], []
    chapters = re.findall(r"^## (.*)$", (root / ALERTS).read_text(), flags=re.M)
    tests = (root / RULE_TESTS).read_text()
    for alert, expression, text in expressions_of_rules(root):
        where = f"{RULES}: {alert}"
        alerts.append(alert)
        wrong += judge_expression(where, expression, known)
        if "up{" not in expression and 'job="fleet-gateway"' not in expression:
            wrong.append(f"{where}: takes other jobs for gateways")
        for needed in (r"severity: (critical|warning)", r"summary: \S", r"description: >-\n\s+\S"):
            if not re.search(needed, text):
                wrong.append(f"{where}: does not have {needed}")
        if f"runbook: {ALERTS}#{alert.lower()}\n" not in text or alert not in chapters:
            wrong.append(f"{where}: its runbook is not the chapter {alert} of {ALERTS}")
        ends = re.findall(rf"alertname: {alert}\n        exp_alerts:( \[\])?\n", tests)
        if "" not in ends:
            wrong.append(f"{RULE_TESTS}: there is no test in which {alert} fires")
        if " []" not in ends:
            wrong.append(f"{RULE_TESTS}: there is no test in which {alert} does not fire")
    for chapter in chapters:
        if chapter not in alerts:
            wrong.append(f"{ALERTS}: there is no alert {chapter}")
    wrong += promtool("check", "rules", root / RULES)
    return wrong + promtool("test", "rules", Path(RULE_TESTS).name, folder=(root / RULE_TESTS).parent)


def judge(root: Path, changed: str = "") -> list[str]:
    """changed: the only file whose mistakes are looked for."""
    known = documented(root)
    if len(known) < 20:
        return [f"{METRICS}: no table of names found; has its form changed?"]
    wrong = judge_dashboard(root, known) if changed in ("", METRICS, DASHBOARD) else []
    return wrong + (judge_rules(root, known) if changed not in (METRICS, DASHBOARD) else [])


MISTAKES = (
    # file, what is there, what is put instead, what must be complained about
    (DASHBOARD, "fleet_store_backlog", "fleet_store_backlogs", "no fleet_store_backlogs"),
    (DASHBOARD, "sum by (version)", "sum by (versions)", "a label versions"),
    (DASHBOARD, 'state=\\"online\\"', 'status=\\"online\\"', "fleet_agents has no label status"),
    (DASHBOARD, "sum(fleet_grpc_streams{", "sum((fleet_grpc_streams{", "promtool check rules"),
    (DASHBOARD, '"uid": "${datasource}"', '"uid": "abc"', "another data source"),
    (DASHBOARD, '"schemaVersion": 38', '"schemaVersion": 30', "older than that of Grafana 10"),
    (DASHBOARD, '"x": 12,', '"x": 13,', "lies over another panel or the edge"),
    (METRICS, "| `fleet_store_up` |", "| `fleet_store_is_up` |", "no fleet_store_up in"),
    (RULES, "fleet_store_up{", "fleet_store_upp{", "no fleet_store_upp"),
    (RULES, '"fleet-gateway", state="offline"', '"fleet-gateway", status="offline"', "fleet_agents has no label status"),
    (RULES, "> 0.1", "> 0.5", "promtool test rules"),
    (RULES, "for: 15m", "for: 0m", "promtool test rules"),
    (RULES, "severity: critical", "severity: loud", "does not have severity"),
    (RULES, "#storefailing", "#store", "its runbook is not the chapter StoreFailing"),
    (RULES, "expr: fleet_store_up{", "expr: fleet_store_up{{", "promtool check rules"),
    (ALERTS, "## EventLoopStuck", "## LoopStuck", "its runbook is not the chapter EventLoopStuck"),
    (ALERTS, "## EventLoopStuck", "## LoopStuck", "no alert LoopStuck"),
    (RULE_TESTS, "alertname: GatewayDown\n        exp_alerts: []", "alertname: StoreFailing\n        exp_alerts: []",
     "no test in which GatewayDown does not fire"),
    (RULE_TESTS, "alertname: AuditWriteFailure\n        exp_alerts:\n", "alertname: StoreFailing\n        exp_alerts:\n",
     "no test in which AuditWriteFailure fires"),
)  # fmt: skip


def check_itself(root: Path) -> list[str]:
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("docs", "share"):
            shutil.copytree(root / name, copy / name)
        for file, old, new, expected in MISTAKES:
            text = (copy / file).read_text()
            if old not in text:
                wrong.append(f'"{old}" is not in {file}: the mistake cannot be planted')
                continue
            (copy / file).write_text(text.replace(old, new, 1))
            complaints = judge(copy, file)
            (copy / file).write_text(text)
            if not any(expected in c for c in complaints):
                wrong.append(f'"{new}" in {file} was not found ("{expected}"), but: {complaints}')
    return wrong


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    if not shutil.which("promtool"):
        sys.exit("check-observability: promtool is missing: tools/deps test")
    wrong = judge(root)
    if not wrong and len(sys.argv) == 1:
        wrong = check_itself(root)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
