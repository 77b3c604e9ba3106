"""Confirm mode: the reply carries the API's own verdict, and the mail is safe in the spool whatever the verdict is."""

import re
import smtplib
from collections.abc import Callable

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

StartRelay = Callable[..., Relay]
REFUSAL = {"error_code": 400, "message": "the poison is not welcome", "error": "bad_poison", "request_id": "r-400"}
NOTICES = '[notices]\nto = "sender"\nfrom_address = "postmaster@example.com"\n'


def test_accepted(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """250 names the transaction, the request and the message at the API."""
    relay = start_relay(listener='accept = "confirm"')
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        reply = _data(client, "fine", "bob@example.net")
    (entry,) = qboxmail.messages()
    (closing,) = wait_until(lambda: relay.events("submission.sent"), what="the closing line")
    found = re.fullmatch(r"2\.0\.0 Ok: sent as (\S+) request_id=(\S+) message_id=(\S+)", reply[1].decode())
    assert reply[0] == 250
    assert found
    assert entry["message"]["headers"]["X-Qboxrelay-Id"] == f"{found[1]}-1"
    assert (closing["request_id"], closing["message_id"]) == (found[2], found[3])
    relay.wait_for_metric('qboxrelay_confirmations_total{verdict="sent"}', 1)


def test_refused(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """554 with the API's text; the submission is closed and nobody gets a notice about what the client has heard."""
    relay = start_relay(listener='accept = "confirm"', extra=NOTICES)
    qboxmail.faults({"action": "status", "status": 400, "body": REFUSAL, "count": 1})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        code, text = _data(client, "poison", "bob@example.net")
        assert _data(client, "fine", "bob@example.net")[0] == 250
    assert code == 554
    assert b"the poison is not welcome" in text
    assert b"request_id=r-400" in text
    relay.wait_for_metric('qboxrelay_spool_messages{account="default",state="failed"}', 1)
    assert [entry["message"]["subject"] for entry in qboxmail.messages()] == ["fine"]
    relay.wait_for_metric('qboxrelay_confirmations_total{verdict="refused"}', 1)


def test_no_verdict_in_time(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """A plain 250 after the set time; the spool goes on."""
    relay = start_relay(listener='accept = "confirm"\nconfirm_timeout = "200ms"')
    qboxmail.faults({"action": "delay", "seconds": 1.5, "count": 1})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        reply = _data(client, "late", "bob@example.net")
    assert reply[0] == 250
    assert b"queued as" in reply[1]
    wait_until(lambda: len(qboxmail.messages()) == 1, what="the mail has arrived")
    relay.wait_for_metric('qboxrelay_confirmations_total{verdict="late"}', 1)


def test_some_recipients_are_refused(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Blind recipients are submissions of their own: where some were served there is no 5xx, and a notice tells of the others."""
    relay = start_relay(listener='accept = "confirm"', extra=NOTICES, account="max_messages_per_request = 1")
    qboxmail.faults({"action": "status", "status": 400, "body": REFUSAL, "count": 1})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        reply = _data(client, "both", "bob@example.net", "carl@example.net", to="undisclosed-recipients:;")
    assert reply[0] == 250
    assert b"queued as" in reply[1]
    wait_until(lambda: len(qboxmail.messages()) == 2, what="one copy and the notice")
    assert sum(entry["message"]["subject"] == "both" for entry in qboxmail.messages()) == 1


def test_stop_while_a_client_waits(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """The client hears that its mail is safe, and it is: the next start sends it if this one could not."""
    relay = start_relay(listener='accept = "confirm"', extra='[delivery]\nretry_schedule = ["1s"]\n')
    qboxmail.faults({"action": "status", "status": 503})
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        _begin(client, "bob@example.net")
        client.send(mails.wire(mails.simple("waits")) + b"\r\n.\r\n")
        wait_until(lambda: relay.events("mail.accepted"), what="the mail is stored")
        assert relay.stop() == 0
        code, text = client.getreply()
        client.close()
    assert code == 250
    assert b"queued as" in text
    qboxmail.faults()
    relay.start()
    wait_until(lambda: len(qboxmail.messages()) == 1, seconds=60, what="the mail has arrived")


def test_many_wait_at_once(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Each hears of its own mail."""
    count = 20
    relay = start_relay(listener='accept = "confirm"')
    qboxmail.faults({"action": "delay", "seconds": 0.3, "count": 3})
    clients = [smtplib.SMTP(HOST, relay.smtp_port) for _ in range(count)]
    try:
        for number, client in enumerate(clients):
            _begin(client, f"r{number}@example.net")
            client.send(b"From: a@example.com\r\nSubject: x\r\n\r\nhello\r\n.\r\n")
        heard = [client.getreply()[1].decode().rpartition("message_id=")[2] for client in clients]
    finally:
        for client in clients:
            client.close()
    sent = {event["message_id"]: event["recipients"] for event in relay.wait_for("submission.sent", count)}
    assert [sent[message_id] for message_id in heard] == [[f"r{number}@example.net"] for number in range(count)]


def _begin(client: smtplib.SMTP, *recipients: str) -> None:
    client.ehlo_or_helo_if_needed()
    assert client.mail("ann@example.com")[0] == 250
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    assert client.docmd("DATA")[0] == 354


def _data(client: smtplib.SMTP, subject: str, *recipients: str, to: str = "") -> tuple[int, bytes]:
    mail = mails.simple(subject)
    if to:
        mail.replace_header("To", to)
    _begin(client, *recipients)
    client.send(mails.wire(mail) + b"\r\n.\r\n")
    return client.getreply()
