"""The log of a whole run, as an operator reads it: what it must say, and what it must never say."""

import json
import smtplib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support import mails
from tests.support.logins import cheap_hash
from tests.support.processes import HOST, Relay, Sandbox, wait_until

StartRelay = Callable[..., Relay]
USER, PASSWORD, WRONG = "erp@example.com", "hunter2-is-right", "hunter3-is-wrong"
SUBJECT, BODY = "the-subject-of-it", "the-body-of-it"
LISTENER = 'auth = "optional"\nauth_without_tls = true\nauth_mechanisms = ["PLAIN", "LOGIN"]\n'
USERS = f'[[users]]\nname = "{USER}"\npassword_hash = "{cheap_hash(PASSWORD)}"\nsenders = ["*@example.com"]\n'
UNLIMITED = '[logins]\nfailure_delay = "0s"\nmax_failures_per_address = 0\nmax_failures_per_user = 0\n'


def mail(subject: str = SUBJECT) -> bytes:
    return mails.wire(mails.simple(subject, body=BODY))


def hand_in(relay: Relay, content: bytes, *, login: str | None = None) -> None:
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        if login is not None:
            client.login(USER, login)
        client.sendmail("ann@example.com", ["bob@example.net"], content)


def finished(relay: Relay, count: int) -> list[dict[str, object]]:
    def closed() -> list[dict[str, object]]:
        return [line for name in ("submission.sent", "submission.failed") for line in relay.events(name)]

    found: list[dict[str, object]] = wait_until(
        lambda: closed() if len(closed()) >= count else [], seconds=60, what=f"{count} closing lines"
    )
    return found


@pytest.mark.parametrize("level", ["info", "debug"])
def test_no_secret_and_no_content_in_the_log_of_a_run(start_relay: StartRelay, qboxmail: Sandbox, level: str) -> None:
    """Mail sent, deferred and refused, logins right and wrong, a refused token, a crash of a dialogue, a restart: at every level."""
    relay = start_relay(listener=LISTENER, extra=f"{USERS}\n{UNLIMITED}")
    relay.stop()
    relay.config.write_text(relay.config.read_text().replace("[log]", f'[log]\nlevel = "{level}"'))
    relay.start()
    hand_in(relay, mail(), login=PASSWORD)
    with smtplib.SMTP(HOST, relay.smtp_port) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login(USER, WRONG)
    finished(relay, 1)
    for status in (503, 400):
        qboxmail.faults({"action": "status", "status": status, "body": {"error": "trouble"}, "count": 1})
        hand_in(relay, mail())
        wait_until(partial(relay.metric, f'qboxrelay_send_requests_total{{account="default",status="{status}"}}'))
    qboxmail.faults({"action": "status", "status": 401, "body": {"error": "unauthorized"}, "count": 1})
    hand_in(relay, mail())
    wait_until(lambda: relay.events("account.condition"), what="the token is refused")
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.docmd("AUTH", "PLAIN !!!")
        client.docmd("MAIL", "FROM:<nobody")
    relay.stop()

    log = relay.log.read_text()
    assert "mail.accepted" in log
    for secret in ("sandbox-send-token", PASSWORD, WRONG, SUBJECT, BODY, "Bearer", "text_body", "argon2"):
        assert secret not in log, secret


def test_closing_line_has_the_four_delays_and_every_id(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Before the spool, in the spool, connecting, answering; and what leads to the API's own records."""
    relay = start_relay()
    qboxmail.faults({"action": "delay", "seconds": 0.3})
    hand_in(relay, mail())
    (line,) = finished(relay, 1)
    (entry,) = qboxmail.messages()

    before, waited, connecting, answering = map(float, str(line["delays"]).split("/"))
    # Three figures that a quick machine rounds to nothing; the fourth is known.
    assert min(before, waited, connecting) >= 0
    assert answering >= 0.3
    assert line["request_id"] == entry["request_id"]
    assert line["message_id"] == entry["message_id"]
    assert line["submission"] == f"{line['transaction']}-1"
    assert "subject" not in line
    assert {"attempt", "status", "account", "sender", "recipients"} <= set(line)


def test_addresses_and_subjects_by_setting(start_relay: StartRelay) -> None:
    """Hashed, the lines of one mail and one person still lead to each other."""
    relay = start_relay()
    relay.stop()
    keys = '[log]\naddresses = "hash"\nsubjects = "hash"'
    relay.config.write_text(relay.config.read_text().replace("[log]", keys))
    relay.log.unlink()
    relay.start()
    hand_in(relay, mail())
    (closing,) = finished(relay, 1)
    (accepted,) = relay.events("mail.accepted")

    log = relay.log.read_text()
    assert "bob@" not in log
    assert "ann@" not in log
    assert SUBJECT not in log
    assert accepted["recipients"] == closing["recipients"]
    assert str(closing["subject"]).startswith("#")


def test_repeated_errors_are_counted(start_relay: StartRelay) -> None:
    """A spool that cannot take mail refuses a hundred, and says it once; each mail's refusal is in the metrics."""
    relay = start_relay(extra="[spool]\nmax_messages = 1\n")
    relay.stop()
    relay.config.write_text(relay.config.read_text().replace("[log]", '[log]\nrepeat_every = "2s"'))
    relay.log.unlink()
    relay.start()
    relay.config.with_name("token").write_text("wrong-token\n")
    hand_in(relay, mail())
    wait_until(lambda: relay.events("account.condition"), what="the token is refused")

    def refused() -> bool:
        """One more mail that is refused; whether a line has said of how many."""
        with pytest.raises(smtplib.SMTPException):
            hand_in(relay, mail())
        return any("repeated" in line for line in relay.events("mail.refused"))

    for _ in range(50):
        refused()
    few = len(relay.events("mail.refused"))
    wait_until(refused, what="a count")

    counted = relay.metric('qboxrelay_mails_refused_total{rule="spool_full"}')
    assert few < 50
    written = relay.events("mail.refused")
    assert len(written) + sum(line.get("repeated", 0) for line in written) <= counted
    assert max(line.get("repeated", 0) for line in written) > 1


def test_journald_is_the_log_where_there_is_one(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Where there is none, as in a container, the lines are on standard error as JSON, and the first one says what to do."""
    relay = start_relay()
    relay.stop()
    relay.config.write_text(relay.config.read_text().replace('format = "json"', 'format = "journald"'))
    relay.log.unlink()
    relay.start()
    hand_in(relay, mail())
    wait_until(qboxmail.messages, what="the mail is sent")
    relay.stop()

    if Path("/run/systemd/journal/socket").exists():
        assert relay.log.read_text() == ""
    else:
        first = json.loads(relay.log.read_text().splitlines()[0])
        assert first["event"] == "log.no_journal"
        assert "format in [log]" in first["hint"]
        assert relay.events("submission.sent")
