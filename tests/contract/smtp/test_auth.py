"""Logins over a real socket, where a dialogue script does not suffice."""

import base64
import hmac
import smtplib
from contextlib import closing
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.model.clock import SystemClock
from qboxrelay.policy.login.logins import Logins
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.telemetry.metrics_auth import AuthMetrics
from tests.contract.smtp.harness import HOST, door
from tests.support.logins import logins, settings_of

USER = {"name": "erp", "password": "hunter2", "cram_md5": "hunter2", "senders": ["*@example.com"]}
SETTINGS: dict[str, Any] = {
    "auth": "required",
    "auth_without_tls": True,
    "auth_mechanisms": ["PLAIN", "LOGIN", "CRAM-MD5"],
}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_wire_log_knows_no_password(tmp_path: Path) -> None:
    """The dialogue of a watched client is in the log, without what proves who it is."""
    wire = tmp_path / "wirelog"
    wire.write_text("127.0.0.0/8 2999-01-01T00:00:00+00:00\n")
    secrets = [b64("\0erp\0hunter2"), b64("\0erp\0hunter3"), b64("hunter2"), "hunter2"]
    with (
        capture_logs() as logs,
        logins([USER]) as doorkeeper,
        door(logins=doorkeeper, wire=wire, **SETTINGS) as here,
        smtplib.SMTP(HOST, here.port) as client,
    ):
        client.ehlo()
        assert client.docmd("AUTH", f"PLAIN {b64(chr(0) + 'erp' + chr(0) + 'hunter3')}")[0] == 535
        assert client.docmd("auth", "login")[0] == 334
        assert client.docmd(b64("erp"))[0] == 334
        assert client.docmd("*")[0] == 501
        code, challenge = client.docmd("AUTH", "CRAM-MD5")
        assert code == 334
        digest = hmac.new(b"hunter2", base64.b64decode(challenge), "md5").hexdigest()
        assert client.docmd(b64(f"erp {digest}"))[0] == 235
        secrets += [digest, b64(f"erp {digest}"), b64("erp")]
        assert client.docmd("NOOP")[0] == 250

    lines = [(line["event"], line["line"]) for line in logs if line["event"].startswith("wire.")]
    assert ("wire.client", "AUTH ***") in lines
    assert ("wire.client", "NOOP") in lines
    assert ("wire.server", "235 2.7.0 Authentication succeeded") in lines
    for secret in secrets:
        assert secret not in str(logs)


def test_login_ends_with_the_connection() -> None:
    """The next client on the same address is nobody."""
    with logins([USER]) as doorkeeper, door(logins=doorkeeper, **SETTINGS) as here:
        with smtplib.SMTP(HOST, here.port) as client:
            client.login("erp", "hunter2")
            assert client.mail("ann@example.com")[0] == 250
        with smtplib.SMTP(HOST, here.port) as client:
            client.ehlo()
            assert client.mail("ann@example.com")[0] == 530


def test_relay_that_cannot_tell() -> None:
    """A fault of ours is temporary, and not the client's failure."""
    settings, _ = settings_of([{"name": "erp"}], max_failures_per_connection=1)
    secrets = {"erp": UserSecrets(password_hash=Secret("$argon2id$AAAA$AAAA"))}
    doorkeeper = Logins(
        settings=settings, secrets=secrets, clock=SystemClock(), metrics=AuthMetrics(CollectorRegistry())
    )
    with closing(doorkeeper), door(logins=doorkeeper, **SETTINGS) as here, smtplib.SMTP(HOST, here.port) as client:
        client.ehlo()
        for _ in range(2):
            assert client.docmd("AUTH", f"PLAIN {b64(chr(0) + 'erp' + chr(0) + 'x')}") == (
                454,
                b"4.7.0 The password cannot be checked now, try again later",
            )
        assert client.noop()[0] == 250


def test_login_counts_for_limits() -> None:
    """Messages in a minute are counted for the login, wherever its connections come from."""
    other = {**USER, "name": "crm"}
    with (
        logins([USER, other]) as doorkeeper,
        door(logins=doorkeeper, max_messages_per_minute=2, **SETTINGS) as here,
        smtplib.SMTP(HOST, here.port) as erp,
        smtplib.SMTP(HOST, here.port) as crm,
    ):
        erp.login("erp", "hunter2")
        crm.login("crm", "hunter2")
        codes = []
        for client in (erp, erp, erp, erp, erp, crm):
            codes.append(client.mail("ann@example.com")[0])
            client.rset()

    assert 450 in codes[:5]
    assert codes[5] == 250
