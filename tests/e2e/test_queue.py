"""The queue commands in real processes, beside a relay that runs and while it is stopped."""

import email
import email.policy
import json
import os
import pty
import smtplib
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx

from tests.support.processes import HOST, Relay, Sandbox, wait_until

MAIL = (
    "From: Ann <ann@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: {0}\r\nMessage-ID: <{0}@example.com>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    "Schöne Grüße \x1b[31m\r\n"
)


def command(relay: Relay, *arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "qboxrelay", *map(str, arguments), "--config", str(relay.config)],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


def queue(relay: Relay, *arguments: object, status: int = 0) -> Any:
    """What a queue command says as JSON."""
    return json.loads(command(relay, "queue", *arguments, "--json", status=status).stdout)


def send(relay: Relay, subject: str) -> str:
    """Hand a mail in; its transaction id."""
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.ehlo()
        client.mail("ann@example.com")
        client.rcpt("bob@example.net")
        code, text = client.data(MAIL.format(subject).encode())
    assert code == 250, text
    return text.decode().split()[-1]


def states(relay: Relay) -> dict[str, str]:
    return {one["id"]: one["state"] for one in queue(relay, "list")}


def readiness(relay: Relay) -> Any:
    return httpx.get(f"http://{HOST}:{relay.http_port}/readyz", trust_env=False, timeout=30).json()


def acts_in_log(relay: Relay) -> list[str]:
    return [one["what"] for one in relay.events("operator.acted")]


def subjects(qboxmail: Sandbox) -> list[str]:
    return [message["message"]["subject"] for message in qboxmail.messages()]


def test_held_back_released_and_deleted_beside_a_relay(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """A pause stops sending, a hold keeps one, a deletion loses one by will, a resume sends the rest; each is in the relay's log."""
    relay = start_relay()
    command(relay, "queue", "pause", "--why", "maintenance")
    wait_until(lambda: readiness(relay)["pauses"], what="the relay knows of the pause")
    kept, held, deleted = (send(relay, name) for name in ("kept", "held", "deleted"))
    assert set(states(relay).values()) == {"queued"}
    assert queue(relay, "stats")["pauses"][0]["why"] == "maintenance"
    (paused,) = readiness(relay)["pauses"]
    assert (paused["account"], paused["why"]) == ("all", "maintenance")
    relay.wait_for_metric('qboxrelay_account_paused_by_operator{account="default"}', 1)
    assert queue(relay, "hold", held) == [{"id": f"{held}-1", "done": True, "before": "queued", "refused": None}]
    command(relay, "queue", "delete", deleted, status=1)
    assert f"{deleted}-1" in states(relay)
    queue(relay, "delete", deleted, "--yes")
    assert states(relay) == {f"{kept}-1": "queued", f"{held}-1": "held"}
    command(relay, "queue", "resume")
    wait_until(lambda: subjects(qboxmail) == ["kept"], what="the rest is sent")
    queue(relay, "release", "--all", "--yes")
    wait_until(lambda: subjects(qboxmail) == ["kept", "held"], what="the released one is sent")
    wait_until(lambda: states(relay) == {}, what="all is settled")
    gone = command(relay, "queue", "show", deleted, status=2)
    assert "delete by" in gone.stderr
    acted = wait_until(lambda: "release" in (found := acts_in_log(relay)) and found, what="the log tells of it")
    assert acted == ["pause", "hold", "delete", "resume", "release"]
    wait_until(lambda: readiness(relay)["pauses"] == [], what="the relay knows of the end of the pause")
    relay.wait_for_metric('qboxrelay_account_paused_by_operator{account="default"}', 0)
    relay.wait_for_metric('qboxrelay_spool_messages{account="default",state="held"}', 0)


def test_failed_mail_is_retried_beside_a_relay(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """What the API refused is sent once its cause is gone, exactly once."""
    relay = start_relay()
    qboxmail.faults({"action": "status", "status": 400})
    failed = send(relay, "refused")
    wait_until(lambda: states(relay) == {f"{failed}-1": "failed"}, what="it fails")
    (shown,) = queue(relay, "show", failed)
    assert (shown["content_kept"], shown["attempt_list"][0]["status"]) == (True, 400)
    (bare,) = queue(relay, "show", failed, "--no-content")
    assert "content" not in bare
    qboxmail.faults()
    assert queue(relay, "retry", "--state", "failed", "--dry-run") == [f"{failed}-1"]
    assert queue(relay, "retry", "--state", "failed", "--error", "no such words", "--yes", status=2) == []
    queue(relay, "retry", f"{failed}-1")
    wait_until(lambda: subjects(qboxmail) == ["refused"], what="it is sent")
    wait_until(lambda: states(relay) == {}, what="it is settled")
    (refused,) = queue(relay, "retry", failed, status=2)
    assert refused["refused"] == "it was sent"


def test_the_queue_without_a_relay(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """Everything works on the spool while the relay is stopped, and is taken up by its start; nothing of it is readable by others."""
    relay = start_relay()
    command(relay, "queue", "pause", "default")
    one, two = send(relay, "one"), send(relay, "two")
    assert relay.stop() == 0
    queue(relay, "delete", one, "--yes")
    command(relay, "queue", "resume", "default")
    assert states(relay) == {f"{two}-1": "queued"}
    for file in (relay.directory / "data").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    relay.start()
    wait_until(lambda: subjects(qboxmail) == ["two"], what="what is left is sent")
    acted = wait_until(lambda: "resume" in (found := acts_in_log(relay)) and found, what="the log tells of it")
    # The pause perhaps twice: the relay may have been stopped before it noted that it had told of it.
    assert list(dict.fromkeys(acted)) == ["pause", "delete", "resume"]


def test_the_decoded_message_is_shown(start_relay: Callable[..., Relay]) -> None:
    """It moves no cursor on a terminal, and can be left out; `export` makes a mail of it."""
    relay = start_relay()
    command(relay, "queue", "pause")
    id_ = send(relay, "secret")
    bare, shown = (
        command(relay, "queue", "show", id_, "--no-content").stdout,
        command(relay, "queue", "show", id_).stdout,
    )
    assert ("Subject" in bare, "Grüße" in bare) == (False, False)
    for words in (
        "Subject: secret",
        'From: "Ann" <ann@example.com>',
        "Message-ID: <secret@example.com>",
        "Schöne Grüße",
    ):
        assert words in shown
    assert "\x1b[31m" not in shown
    (story,) = queue(relay, "show", id_)
    assert story["content"]["text_body"].startswith("Schöne Grüße")
    exported = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "queue", "export", id_, "--config", str(relay.config)],
        capture_output=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    mail = email.message_from_bytes(exported, policy=email.policy.default)
    assert (mail["Subject"], mail["To"], mail["Message-ID"]) == (
        "secret", "Bob <bob@example.net>", "<secret@example.com>",
    )  # fmt: skip
    assert mail.get_content().startswith("Schöne Grüße")
    assert "is not kept any more" in command(relay, "queue", "export", id_, "--raw", status=2).stderr


def test_wrong_requests_are_explained(start_relay: Callable[..., Relay]) -> None:
    """One line each, and nothing is done."""
    relay = start_relay()
    for arguments, status, said in (
        (("list", "--state", "lost"), 1, "the states are queued"),
        (("list", "--older", "2"), 1, "a number with a unit"),
        (("delete",), 1, "--all means everything"),
        (("delete", "X", "--all"), 1, "not both"),
        (("release", "X"), 2, "no such submission"),
        (("delete", "--all"), 2, "Nothing of that kind"),
        (("hold", "--state", "held"), 2, "No such option"),
        (("retry", "--state", "held"), 1, "possible for failed, queued"),
        (("pause", "nobody"), 1, "the accounts are default"),
        (("resume", "nobody"), 1, "the accounts are default"),
        (("resume",), 2, "was not paused"),
        (("show", "X"), 2, "there is no mail X"),
    ):
        done = command(relay, "queue", *arguments, status=status)
        assert said in done.stdout + done.stderr, arguments


def test_an_older_spool_is_left_alone(start_relay: Callable[..., Relay]) -> None:
    """A command never migrates what a relay may be using."""
    relay = start_relay()
    relay.stop()
    path = relay.directory / "data" / "spool.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")
    assert "start the relay of this version first" in command(relay, "queue", "list", status=1).stderr
    path.unlink()
    assert "there is no spool" in command(relay, "queue", "list", status=1).stderr
    assert not path.exists()


def test_a_person_is_asked_before_mail_is_destroyed(start_relay: Callable[..., Relay]) -> None:
    """At a terminal: no keeps it, yes deletes it."""
    relay = start_relay()
    command(relay, "queue", "pause")
    id_ = send(relay, "asked")
    for answer, status, left in ((b"n\n", 1, 1), (b"y\n", 0, 0)):
        master, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "qboxrelay", "queue", "delete", id_, "--config", str(relay.config)],
            stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        os.close(terminal)
        os.write(master, answer)
        out, error = process.communicate(timeout=120)
        os.close(master)
        assert process.returncode == status, out + error
        assert b"delete 1" in error
        assert len(states(relay)) == left


def test_odd_arguments_and_readers_that_leave(start_relay: Callable[..., Relay]) -> None:
    """Bytes that are no text, an empty id, `| head -1`: a sentence or nothing, never a traceback."""
    relay = start_relay()
    for words in (
        ("queue", "show", "\udcff"),
        ("queue", "pause", "--why", "\udcff"),
        ("trace", ""),
        ("trace", "\udcff"),
    ):
        assert "Traceback" not in command(relay, *words, status=1).stderr
    assert "UTF-8" in command(relay, "queue", "pause", "--why", "\udcff", status=1).stderr
    command(relay, "queue", "pause")
    for number in range(200):
        send(relay, f"mail-{number}")

    shown = [sys.executable, "-m", "qboxrelay", "queue", "list", "--limit", "200", "--config", str(relay.config)]
    for extra in ([], ["--json"]):
        with subprocess.Popen([*shown, *extra], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reading:
            assert reading.stdout is not None
            assert reading.stderr is not None
            reading.stdout.readline()
            reading.stdout.close()
            assert reading.stderr.read() == ""
            assert reading.wait(60) in {0, 1}
