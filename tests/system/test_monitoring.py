"""What Debian's Prometheus thinks of the alerts, the dashboard and a scrape."""

import json
import re
import subprocess
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from generated.operations import OPERATIONS
from tests.conftest import ROOT
from tests.system.services import program

MONITORING = ROOT / "docs" / "monitoring"


def run_promtool(*arguments: str | Path, given: str = "") -> str:
    """What promtool says of these files, or of what it is given."""
    command = [program("promtool"), "check", *arguments]
    ended = subprocess.run(command, input=given, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_alerts_are_rules() -> None:
    alerts = (MONITORING / "alerts.yaml").read_text(encoding="utf-8").count("- alert:")

    assert f"SUCCESS: {alerts} rules found" in run_promtool("rules", MONITORING / "alerts.yaml")


FAULTS = {
    "DocketDown": ('up{job="docket",instance="one"}', "0x20"),
    "DocketAbsent": ("other", "1x20"),
    "DocketErrors": ('docket_requests_total{status="500",operation="login"}', "0x14 1x6"),
    "DocketUnavailable": ('docket_requests_total{status="503",operation="login"}', "0+9x20"),
    "DocketSlow": ('docket_request_duration_seconds_bucket{operation="listTasks",le="5.0"}', "0+9x20"),
    "DocketPoolExhausted": ("docket_pool_waiting", "1x20"),
    "DocketSlotsLost": ('docket_pool_connections{state="missing",instance="one"}', "1x20"),
    "DocketWorkerDied": ('docket_worker_deaths_total{instance="one"}', "0x12 1x8"),
    "DocketHashingBehind": ("docket_hashing_pending", "40x20"),
    "DocketContractBroken": ('docket_contract_mismatches_total{operation="login"}', "0x5 1x15"),
    "DocketLogLost": ("docket_log_lines_dropped_total", "0x12 3x8"),
    "DocketLimitsApart": ("docket_limits_fallbacks_total", "0+9x20"),
    "DocketBackupOld": ('docket_last_success_timestamp_seconds{command="backup"}', "-129600x20"),  # time begins at 0
    "DocketPruneOld": ('docket_last_success_timestamp_seconds{command="prune"}', "-129600x20"),
    "DocketMailWaits": ("docket_mails_oldest_seconds", "1000x20"),
    "DocketEventDaysFew": ("docket_event_room_seconds", "518400x20"),  # six days
    "DocketStreamsCut": ("docket_streams_cut_total", "0x12 20x8"),
    "DocketEventsLate": ("docket_event_delay_seconds", "61x20"),
    "DocketMailGivenUp": ('docket_mails_total{outcome="given_up"}', "0x5 10x15"),
}
"""The series, by the minute, that each alert is for."""


def test_each_alert_is_fired_by_its_fault_and_by_no_other(tmp_path: Path) -> None:
    rules = MONITORING / "alerts.yaml"
    alerts = re.findall(r"alert: (\w+)", rules.read_text(encoding="utf-8"))
    assert set(FAULTS) == set(alerts)
    probes = [
        {"series": f'docket_requests_total{{status="503",operation="{probe}"}}', "values": "0+9x20"}
        for probe in ("getReadiness", "getLiveness", "getHealth")
    ]
    for fault, (series, values) in FAULTS.items():
        healthy = [] if fault == "DocketAbsent" else [{"series": "docket_build_info", "values": "1x20"}]
        bounded = [{"series": series.replace("5.0", "+Inf"), "values": values}] if "_bucket" in series else []
        given = [{"series": series, "values": values}, *healthy, *bounded, *probes]
        fired = [{"eval_time": "18m", "alertname": name, "exp_alerts": []} for name in alerts if name != fault]
        asked = {
            "expr": f'count(ALERTS{{alertname="{fault}",alertstate="firing"}})',
            "eval_time": "18m",
            "exp_samples": [{"value": 1}],
        }
        tests = [{"interval": "1m", "input_series": given, "alert_rule_test": fired, "promql_expr_test": [asked]}]
        (tmp_path / "test.json").write_text(json.dumps({"rule_files": [str(rules)], "tests": tests}))

        ended = subprocess.run(
            [program("promtool"), "test", "rules", tmp_path / "test.json"], check=False, capture_output=True, text=True
        )

        assert ended.returncode == 0, fault + ended.stdout + ended.stderr


def test_the_configuration_is_one_of_prometheus(tmp_path: Path) -> None:
    text = (MONITORING.parents[1] / "deploy/prometheus.yaml").read_text(encoding="utf-8")
    text = text.replace("/etc/prometheus/docket-alerts.yaml", str(MONITORING / "alerts.yaml"))
    (tmp_path / "token").touch()
    (tmp_path / "prometheus.yaml").write_text(text.replace("/run/secrets/metrics_token", str(tmp_path / "token")))

    assert "SUCCESS" in run_promtool("config", tmp_path / "prometheus.yaml")


def test_the_queries_of_the_dashboard_are_queries(tmp_path: Path) -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    queries = [query["expr"].replace("$__rate_interval", "5m") for panel in panels for query in panel["targets"]]
    rules = [{"record": f"docket:query{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"SUCCESS: {len(queries)} rules found" in run_promtool("rules", tmp_path / "rules.json")


def test_a_scrape_has_what_they_name_in_the_form_of_prometheus(server_url: str) -> None:
    httpx.get(f"{server_url}/livez")
    scrape = httpx.get(f"{server_url}/metrics").text

    run_promtool("metrics", given=scrape)
    text = "".join(file.read_text(encoding="utf-8") for file in MONITORING.iterdir())
    measured = set(re.findall(r"^# TYPE (\w+)", scrape, re.MULTILINE))
    assert {name.removesuffix("_bucket") for name in re.findall(r"docket_\w+", text)} <= measured


def test_what_an_alert_counts_is_there_before_it_happens(server_url: str) -> None:
    """A series that begins with its first count has no increase: nothing would be alerted of."""
    httpx.get(f"{server_url}/livez")
    scrape = httpx.get(f"{server_url}/metrics").text
    measured = [
        (sample.name, sample.labels) for family in text_string_to_metric_families(scrape) for sample in family.samples
    ]
    rules = (MONITORING / "alerts.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"(docket_\w+)(\{.*?\})?", rules))
    assert len(named) > len(FAULTS) / 2
    for name, selector in named:
        wanted = dict(re.findall(r'(\w+)="(.*?)"', selector))
        assert [labels for series, labels in measured if series == name and wanted.items() <= labels.items()], name

    errors = {labels["operation"] for name, labels in measured if labels.get("status") == "500"}
    assert errors == {"none", *(operation.id for operation in OPERATIONS)}
