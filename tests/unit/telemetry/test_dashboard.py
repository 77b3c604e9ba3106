"""Alerts, dashboard and documentation speak of metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.series import asked_for, families, names

ROOT = Path(__file__).parents[3]
ALERTS = (ROOT / "config/prometheus/alerts.yml").read_text()
DASHBOARD = json.loads((ROOT / "config/grafana/qboxrelay.json").read_text())


def queries(found: Any) -> Iterator[str]:
    """All that a dashboard asks Prometheus, wherever it stands."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key in {"expr", "query"} and isinstance(value, str):
                yield value
            else:
                yield from queries(value)
    elif isinstance(found, list):
        for value in found:
            yield from queries(value)


def test_dashboard_asks_for_metrics_that_exist() -> None:
    asked = asked_for(queries(DASHBOARD))

    assert len(asked) > 30
    assert asked - names() == set()


def test_alerts_ask_for_metrics_that_exist() -> None:
    asked = asked_for(ALERTS.splitlines())

    assert len(asked) > 15
    assert asked - names() == set()


def test_a_metric_that_does_not_exist_is_found() -> None:
    """The two tests above can fail."""
    assert asked_for(["rate(qboxrelay_no_such_total[5m])"]) - names() == {"qboxrelay_no_such_total"}


def test_panels_do_not_lie_on_each_other() -> None:
    """Each has a place of its own, within the width of 24."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("name", sorted(name for name in families() if name.startswith("qboxrelay_")))
def test_metric_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in (ROOT / "README.md").read_text(), name


def test_every_alert_has_a_runbook_and_a_test() -> None:
    """Its annotation leads to a section of the README that says what to do about it, and promtool's tests make it fire."""
    readme = (ROOT / "README.md").read_text()
    tested = (ROOT / "config/prometheus/alerts_test.yml").read_text()
    alerts = re.findall(r"- alert: (\w+)", ALERTS)

    assert len(alerts) > 10
    assert re.findall(r'runbook: "(.*)"', ALERTS) == [f"README.md#{alert.lower()}" for alert in alerts]
    for alert in alerts:
        section = re.search(rf"^#### {alert}\n\n(.+?)\n\n(?=#)", readme, re.MULTILINE | re.DOTALL)
        assert section is not None, alert
        assert len(section[1]) > 80, alert
        assert f'alertname="{alert}", alertstate="firing"' in tested, alert


def test_a_runbook_names_commands_and_settings_that_exist() -> None:
    """Whoever is called at night must not look for what there is not."""
    readme = (ROOT / "README.md").read_text()
    runbooks = readme[readme.index("### When an alert fires") : readme.index("## The sandbox")]
    source = "".join(path.read_text() for path in (ROOT / "qboxrelay").rglob("*.py"))
    events = re.findall(r"`((?:account|attempt|login|mail|relay|request|submission|tls)\.[a-z_]+)`", runbooks)
    commands = set(re.findall(r"`qboxrelay ([a-z-]+)", runbooks))

    assert len(events) > 5
    assert {event for event in events if f'"{event}"' not in source} == set()
    assert commands
    assert {command for command in commands if f'"{command}"' not in source and f"def {command}" not in source} == set()


def test_alerts_cover_what_an_operator_needs() -> None:
    """Down, not accepting, old mail, pauses, tokens, domains, facts, failures, unknown outcomes, room, certificates, lag, silence."""
    asked = asked_for(ALERTS.splitlines())

    assert asked >= {
        "qboxrelay_ready",
        "qboxrelay_mails_refused_total",
        "qboxrelay_spool_oldest_seconds",
        "qboxrelay_account_paused",
        "qboxrelay_account_paused_by_operator",
        "qboxrelay_sender_domain_status",
        "qboxrelay_sender_domain_facts_age_seconds",
        "qboxrelay_submissions_finished_total",
        "qboxrelay_attempts_total",
        "qboxrelay_spool_max_bytes",
        "qboxrelay_tls_certificate_expiry_timestamp_seconds",
        "qboxrelay_event_loop_lag_seconds_bucket",
        "qboxrelay_smtp_last_session_age_seconds",
        "qboxrelay_send_last_accepted_age_seconds",
    }
    assert 'up{job="qboxrelay"}' in ALERTS


def test_metric_names_follow_the_conventions() -> None:
    """Counters end in _total, times are in seconds, sizes in bytes; each has a text."""
    for name, kind in families().items():
        if name.startswith("qboxrelay_"):
            assert name.endswith("_total") == (kind == "counter"), name
            assert not re.search(r"_(ms|milliseconds|kb|megabytes|minutes|hours)(_|$)", name), name
