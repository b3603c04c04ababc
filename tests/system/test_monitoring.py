"""What Debian's Prometheus thinks of the alerts, the dashboard and a scrape."""

import json
import re
import subprocess
from pathlib import Path

import httpx

from tests.conftest import ROOT
from tests.system.services import program

MONITORING = ROOT / "docs" / "monitoring"


def checked(*arguments: str | Path, given: str = "") -> str:
    """What promtool says of these files, or of what it is given."""
    command = [program("promtool"), "check", *arguments]
    ended = subprocess.run(command, input=given, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_alerts_are_rules() -> None:
    alerts = (MONITORING / "alerts.yaml").read_text(encoding="utf-8").count("- alert:")

    assert f"SUCCESS: {alerts} rules found" in checked("rules", MONITORING / "alerts.yaml")


def test_the_queries_of_the_dashboard_are_queries(tmp_path: Path) -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    queries = [query["expr"].replace("$__rate_interval", "5m") for panel in panels for query in panel["targets"]]
    rules = [{"record": f"docket:query{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"SUCCESS: {len(queries)} rules found" in checked("rules", tmp_path / "rules.json")


def test_a_scrape_has_what_they_name_in_the_form_of_prometheus(server_url: str) -> None:
    httpx.get(f"{server_url}/livez")
    scrape = httpx.get(f"{server_url}/metrics").text

    checked("metrics", given=scrape)
    text = "".join(file.read_text(encoding="utf-8") for file in MONITORING.iterdir())
    measured = set(re.findall(r"^# TYPE (\w+)", scrape, re.MULTILINE))
    assert {name.removesuffix("_bucket") for name in re.findall(r"docket_\w+", text)} <= measured
