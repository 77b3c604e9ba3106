"""A real Prometheus scrapes a real relay; promtool reads what is shipped for it."""

import json
import re
import smtplib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until
from tests.support.prometheus import PROMETHEUS, PROMTOOL, Prometheus, prometheus
from tests.support.series import families
from tests.unit.telemetry.test_dashboard import queries

StartRelay = Callable[..., Relay]
CONFIG = Path(__file__).parents[2] / "config"
ALERTS = CONFIG / "prometheus/alerts.yml"

pytestmark = [
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian: apt install prometheus)"),
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)"),
]


def promtool(*arguments: str, stdin: bytes = b"") -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], input=stdin, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def hand_in(relay: Relay, *subjects: str) -> None:
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        for subject in subjects:
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple(subject)))
    wait_until(lambda: relay.waiting() == 0, seconds=60, what="the spool is empty")


def exemplars(server: Prometheus, query: str) -> list[dict[str, str]]:
    """Labels of the exemplars that Prometheus stored for a query in the latest minutes."""
    now = time.time()
    found: list[dict[str, Any]] = server.get("/query_exemplars", query=query, start=str(now - 600), end=str(now + 60))
    return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]


def test_prometheus_finds_a_request_by_its_id(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """A query by request_id finds the request, and exemplars with both ids are stored."""
    relay = start_relay()
    with prometheus(tmp_path, f"{HOST}:{relay.http_port}", ALERTS) as server:
        hand_in(relay, "hello")
        (entry,) = qboxmail.messages()
        request_id = entry["request_id"]
        (sent,) = relay.wait_for("submission.sent")
        query = f'qboxrelay_send_request_info{{request_id="{request_id}"}}'
        (found,) = wait_until(lambda: server.query(query), what="the request is found")
        counter = 'qboxrelay_send_requests_total{status="202"}'
        expected = {"request_id": request_id, "transaction_id": sent["transaction"]}
        for name in (counter, "qboxrelay_send_request_seconds_bucket", "qboxrelay_attempts_total"):
            wait_until(lambda name=name: expected in exemplars(server, name), what=f"the exemplar of {name} is stored")

        assert found["metric"]["account"] == "default"
        assert found["metric"]["status"] == "202"
        assert found["metric"]["transaction_id"] == sent["transaction"]
        assert server.query(f'qboxrelay_send_request_info_messages{{request_id="{request_id}"}}')[0]["value"][1] == "1"
        assert server.query("up")[0]["value"][1] == "1"


def test_prometheus_evaluates_every_alert_and_panel(start_relay: StartRelay, tmp_path: Path) -> None:
    """No rule and no query of the dashboard is an error; a relay that is well and silent raises no alert but those of no mail."""
    relay = start_relay()
    panels = [query for query in queries(json.loads((CONFIG / "grafana/qboxrelay.json").read_text())) if "(" in query]
    with prometheus(tmp_path, f"{HOST}:{relay.http_port}", ALERTS) as server:
        hand_in(relay, "hello")
        wait_until(lambda: server.query("qboxrelay_mails_accepted_total == 1"), what="the mail is counted")

        def rules() -> list[dict[str, Any]]:
            return [rule for group in server.get("/rules")["groups"] for rule in group["rules"]]

        wait_until(lambda: all(rule["health"] == "ok" for rule in rules()), what="every rule was evaluated")
        for query in panels:
            if not query.startswith("label_values"):
                text = query.replace("$instance", ".*").replace("$account", ".*").replace("$__rate_interval", "1m")
                server.query(text)
        assert len(rules()) > 10
        assert [rule["name"] for rule in rules() if rule["state"] == "firing"] == []
        assert len(panels) > 30


def test_metrics_are_well_formed(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """promtool finds nothing to say of /metrics, after mail that was sent, refused and failed."""
    relay = start_relay()
    hand_in(relay, "hello")
    qboxmail.faults({"action": "status", "status": 400, "body": {"error": "bad"}, "count": 1})
    hand_in(relay, "poison")
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.docmd("NONSENSE")
        client.docmd("MAIL", "FROM:nothing")
    relay.wait_for_metric('qboxrelay_submissions_finished_total{account="default",state="failed"}', 1)

    text = httpx.get(f"http://{HOST}:{relay.http_port}/metrics", trust_env=False, timeout=60).content
    promtool("check", "metrics", stdin=text)
    served = set(re.findall(r"^# TYPE (qboxrelay_\w+)", text.decode(), re.MULTILINE))
    assert len(served) > 50
    assert served - families().keys() == set()
    assert relay.metric('qboxrelay_smtp_commands_total{verb="unknown"}') == 1


def test_alerts_are_well_formed_and_fire() -> None:
    """promtool reads the rules and runs their tests."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    promtool("test", "rules", str(ALERTS.with_name("alerts_test.yml")))


def test_the_end_of_the_doors_certificate_is_a_series(start_relay: StartRelay, tmp_path: Path) -> None:
    """As OpenSSL made it, to the day; without a certificate there is no series."""
    pem = tmp_path / "door.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=relay.example", "-days", "30",
         "-keyout", str(pem), "-out", str(tmp_path / "certificate.pem")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    pem.write_text(pem.read_text() + (tmp_path / "certificate.pem").read_text())
    relay = start_relay(extra=f'[tls]\ncertificate_file = "{pem}"\n')
    days = (relay.metric("qboxrelay_tls_certificate_expiry_timestamp_seconds") - time.time()) / 86400

    assert 29 < days <= 30
