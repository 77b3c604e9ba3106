"""`qboxrelay trace` in a real process: every id leads to the story, and Qboxmail's own rows are beside it."""

import json
import smtplib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until

MAIL = "From: ann@example.com\r\nTo: {0}\r\nSubject: secret matter\r\nMessage-ID: <one-{1}@example.com>\r\n\r\nsecret text\r\n"


def run(relay: Relay, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", *arguments, "--config", str(relay.config)],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


def traced(relay: Relay, text: str, *options: str) -> Any:
    return json.loads(run(relay, "trace", text, "--json", *options).stdout)


def send(relay: Relay, *recipients: str, number: int = 1) -> str:
    """Hand a mail in; its transaction id."""
    with smtplib.SMTP(HOST, relay.smtp_port, local_hostname="printer.example") as client:
        client.ehlo()
        client.mail("ann@example.com")
        for recipient in recipients:
            client.rcpt(recipient)
        code, text = client.data(MAIL.format(", ".join(recipients), number).encode())
    assert code == 250, text
    return text.decode().split()[-1]


@pytest.fixture
def managed(start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Any) -> Relay:
    """A relay with a Management token and a sender rule."""
    token = tmp_path / "management-token"
    token.write_text("sandbox-management-token\n")
    token.chmod(0o600)
    rule = '[[senders]]\nname = "printers"\nenvelope_from = ["ann@*"]\n'
    return start_relay(extra=f'{rule}[sender_domains]\ntoken_file = "{token}"\nbase_url = "{qboxmail.url}"\n')


def test_every_id_leads_to_the_story(managed: Relay) -> None:
    """And to the rows of TraceMail that name the mail; its content is nowhere."""
    id_ = send(managed, "bob@example.net", "eve@example.net")
    send(managed, "bob@example.net", number=2)
    wait_until(lambda: traced(managed, id_, "--no-tracemail")["submissions"][0]["state"] == "sent", what="it is sent")
    (story,) = traced(managed, id_)["submissions"]
    assert (story["listener"], story["client_address"], story["client_helo"]) == ("smtp", HOST, "printer.example")
    assert (story["sender_rule"], story["domain_state"], story["account"]) == ("printers", "enabled", "default")
    (attempt,) = story["attempt_list"]
    assert (attempt["outcome"], attempt["status"]) == ("accepted", 202)
    assert attempt["answer_seconds"] >= 0  # a quick machine rounds it to nothing
    for text in (
        f"{id_}-1", story["request_id"], story["message_id"], f"<{story['message_id']}>", "<one-1@example.com>",
        "one-1@example.com", "EVE@example.net", " eve@example.net ",
    ):  # fmt: skip
        found = traced(managed, text)
        assert [one["id"] for one in found["submissions"]] == [f"{id_}-1"], text
        (row,) = found["tracemail"]["rows"]
        assert row["collection"] == "worked"
        assert story["message_id"] in row["row"]["data"]
    shown = run(managed, "trace", id_).stdout
    for words in (
        "sender rule printers",
        "sender domain enabled",
        "accepted, HTTP 202",
        "TraceMail lists:",
        "status delivered",
    ):
        assert words in shown, shown
    assert "secret text" not in shown


def test_many_matches_are_listed(managed: Relay) -> None:
    """The newest first, as many as asked for; TraceMail is asked for one mail only."""
    ids = [send(managed, "bob@example.net", number=number) for number in range(3)]
    found = traced(managed, "bob@example.net", "--limit", "2")
    assert [one["transaction_id"] for one in found["submissions"]] == [ids[2], ids[1]]
    assert (found["more"], found["tracemail"]["rows"]) == (True, [])
    shown = run(managed, "trace", "bob@example.net").stdout
    assert all(id_ in shown for id_ in ids)


def test_nothing_found_is_said(start_relay: Callable[..., Relay]) -> None:
    relay = start_relay()
    assert "nothing is known of nobody@example.net" in run(relay, "trace", "nobody@example.net", status=1).stderr


def test_what_operators_did_is_told(start_relay: Callable[..., Relay]) -> None:
    """In the story, with the relay up or down; of deleted mail it is all that is left."""
    relay = start_relay()
    run(relay, "queue", "pause")
    id_ = send(relay, "bob@example.net")
    run(relay, "queue", "hold", id_)
    assert "hold by" in run(relay, "trace", id_).stdout
    relay.stop()
    run(relay, "queue", "delete", id_, "--yes")
    assert "delete by" in run(relay, "trace", id_).stdout
    assert [one["what"] for one in traced(relay, id_)["operators"]] == ["hold", "delete"]


def test_a_dead_management_api_keeps_no_story_from_being_told(start_relay: Callable[..., Relay], tmp_path: Any) -> None:
    token = tmp_path / "management-token"
    token.write_text("sandbox-management-token\n")
    token.chmod(0o600)
    dead = f'[sender_domains]\ntoken_file = "{token}"\nbase_url = "http://{HOST}:{free_port()}"\n'
    relay = start_relay(extra=dead)
    id_ = send(relay, "bob@example.net")
    found = traced(relay, id_)
    assert [one["id"] for one in found["submissions"]] == [f"{id_}-1"]
    assert "cannot reach the Management API" in found["tracemail"]["why_not"]
    assert "TraceMail: cannot reach" in run(relay, "trace", id_).stdout


def test_without_a_token_tracemail_is_not_asked(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    relay = start_relay()
    id_ = send(relay, "bob@example.net")
    assert "token_file in [sender_domains]" in run(relay, "trace", id_).stdout
    assert not [one for one in qboxmail.requests() if "tracemail" in one["path"]]
