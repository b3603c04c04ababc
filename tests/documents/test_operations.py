"""docs/operations.md has every setting and an entry for every alert; alerts and dashboard name what is measured."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from scripts import operations
from server.observability.metrics import Metrics
from tests.conftest import ROOT

RULES: Any = yaml.safe_load((ROOT / "docs" / "monitoring" / "alerts.yaml").read_text(encoding="utf-8"))
ALERTS = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}
DASHBOARD: Any = json.loads((ROOT / "docs" / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
PAGE = Path(ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_its_table_of_settings_is_fresh() -> None:
    assert operations.main(["--check"]) == 0


def test_every_alert_has_an_entry_and_no_other_has() -> None:
    assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == list(ALERTS)


def test_alerts_and_dashboard_name_metrics_that_there_are_and_the_dashboard_all() -> None:
    families = {family.name for family in Metrics().registry.collect()}
    shown = {query["expr"] for panel in DASHBOARD["panels"] for query in panel["targets"]}

    assert named_in(ALERTS.values()) <= families
    assert named_in(shown) == families


def named_in(queries: Iterable[str]) -> set[str]:
    """The metrics of these queries."""
    names = {name for query in queries for name in re.findall(r"docket_\w+", query)}
    return {re.sub("_(total|bucket)$", "", name) for name in names}
