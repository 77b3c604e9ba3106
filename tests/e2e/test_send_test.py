"""`qboxrelay send-test` through real doors: each stage is said, and the exit status says how it ended."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.smtp.harness import PEM
from tests.support.logins import cheap_hash
from tests.support.processes import HOST, Relay, Sandbox

FROM = ("--from", "ann@example.com")
USERS = f'[[users]]\nname = "erp"\npassword_hash = "{cheap_hash("hunter2")}"\n'


def send(relay: Relay, *arguments: str, status: int, typed: str = "") -> str:
    """All that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "send-test", "--to", "bob@example.net", *arguments, "--config", str(relay.config)],
        capture_output=True, text=True, timeout=120, check=False, input=typed,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def address(message: dict[str, Any], field: str) -> str:
    """The only one of a field."""
    value = message["message"][field]
    return str((value[0] if isinstance(value, list) else value)["address"])


def test_a_mail_is_followed_to_its_message_id(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    relay = start_relay()
    said = send(relay, *FROM, status=0)
    (message,) = qboxmail.messages()
    assert (address(message, "from"), address(message, "to")) == ("ann@example.com", "bob@example.net")
    assert f"message_id {message['message_id']}" in said
    for stage in ("connected to", "accepted: 250", "safe in the spool", "attempt 1", "HTTP 202"):
        assert stage in said


def test_in_confirm_mode_too(start_relay: Callable[..., Relay]) -> None:
    assert "sent: request_id" in send(start_relay(listener='accept = "confirm"'), *FROM, status=0)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_with_a_login_over_tls(tls: str, start_relay: Callable[..., Relay], tmp_path: Path) -> None:
    """Under the relay's own certificate, whatever name it is for; the password is no argument and is not shown."""
    pem = tmp_path / "door.pem"
    shutil.copy(PEM, pem)
    relay = start_relay(
        listener=f'tls = "{tls}"\nauth = "required"', extra=f'[tls]\ncertificate_file = "{pem}"\n{USERS}'
    )
    said = send(relay, *FROM, "--user", "erp", status=0, typed="hunter2\n")
    assert "TLSv1.3" in said
    assert "logged in as erp" in said
    assert "hunter2" not in said
    assert "refused: 535" in send(relay, *FROM, "--user", "erp", status=1, typed="hunter3\n")
    assert "name one of [[users]] with --user" in send(relay, *FROM, status=1)


@pytest.mark.parametrize(
    ("settings", "sender"),
    [
        ({"account": 'domains = ["example.org"]'}, "postmaster@example.org"),
        ({"extra": '[notices]\nfrom_address = "mailer@example.com"\n'}, "mailer@example.com"),
    ],
)
def test_the_sender_is_one_that_may_send(
    settings: dict[str, str], sender: str, start_relay: Callable[..., Relay], qboxmail: Sandbox
) -> None:
    """That of notices, else at a sender domain that is known."""
    send(start_relay(**settings), status=0)
    assert [address(one, "from") for one in qboxmail.messages()] == [sender]


def test_a_sender_that_nobody_knows_has_to_be_named(start_relay: Callable[..., Relay]) -> None:
    assert "name a sender with --from" in send(start_relay(), status=1)


def test_how_it_ends_otherwise(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Failed, still waiting, refused at the door, and no door at all are told apart."""
    relay = start_relay(extra='[sender_domains]\ndomains = ["example.com"]\n')
    qboxmail.faults({"action": "status", "status": 400})
    assert "it is failed" in send(relay, *FROM, status=2)
    qboxmail.faults({"action": "status", "status": 503})
    said = send(relay, *FROM, "--wait", "1s", status=3)
    assert "still waits" in said
    assert "qboxrelay trace" in said
    assert "550 5.7.1" in send(relay, "--from", "ann@elsewhere.example", status=1)
    assert "no listener other" in send(relay, *FROM, "--listener", "other", status=1)
    assert "takes no login" in send(relay, *FROM, "--user", "erp", status=1, typed="x\n")
    assert "an address is like" in send(relay, "--from", "ann", status=1)
    relay.stop()
    assert f"no connection to the listener smtp at {HOST}" in send(relay, *FROM, status=1)
