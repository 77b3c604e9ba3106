"""`qboxrelay explain`: what it says is what happens."""

import json
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

GOLDEN = Path(__file__).parents[1] / "mail"


def explain(*arguments: object, stdin: IO[bytes] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qboxrelay", "explain", *map(str, arguments)],
        stdin=stdin, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """Without the relay's own id, which is new for each transaction."""
    headers = {name: value for name, value in message["headers"].items() if name != "X-Qboxrelay-Id"}
    return {**message, "headers": headers}


def ordered(messages: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(bare(message), sort_keys=True) for message in messages)


def test_explained_is_what_is_sent(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """The same mail by SMTP and by `explain` gives the same JSON, for every golden mail."""
    relay = start_relay()
    qboxmail.switch(sender_domain="accept")
    recipients = ["bob@example.net", "carol@example.net"]
    arguments = ["--sender", "ann@example.com", "--rcpt", recipients[0], "--rcpt", recipients[1]]
    files = sorted(GOLDEN.glob("*/message.eml"))
    answers = [json.loads(line) for line in explain("--json", *arguments, *files).stdout.splitlines()]
    assert len(answers) == len(files)
    expected: list[dict[str, Any]] = []
    for file, answer in zip(files, answers, strict=True):
        content = b"\r\n".join(file.read_bytes().replace(b"\r\n", b"\n").split(b"\n"))
        with smtplib.SMTP(HOST, relay.smtp_port) as client:
            client.mail("ann@example.com")
            for recipient in recipients:
                client.rcpt(recipient)
            code, _ = client.data(content)
        assert (code == 250) == (answer["decision"] == "accept"), file
        expected += answer["submissions"]
    wait_until(lambda: len(qboxmail.messages(content=0)) == len(expected), what="every mail")

    assert ordered([entry["message"] for entry in qboxmail.messages()]) == ordered(expected)


def test_recipients_of_the_header_without_rcpt(tmp_path: Path) -> None:
    """Without --rcpt the recipients are those of To, Cc and Bcc."""
    mail = mails.simple("who")
    mail["Cc"] = "carol@example.net"
    mail["Bcc"] = "dave@example.net"
    file = tmp_path / "mail.eml"
    file.write_bytes(b"From ann@example.com Sat Nov 21 00:00:00 2026\n" + mail.as_bytes())
    (answer,) = map(json.loads, explain("--json", file).stdout.splitlines())
    (message,) = answer["submissions"]

    assert answer["file"] == str(file)
    assert [message[field][0]["address"] for field in ("to", "cc", "bcc")] == [
        "bob@example.net",
        "carol@example.net",
        "dave@example.net",
    ]


def test_a_last_line_without_end_gets_one(tmp_path: Path) -> None:
    """SMTP cannot carry a mail without it, so that the mail sent and the file explained are the same."""
    texts = []
    for content in (b"From: a@b.example\r\n\r\nhello", b"From: a@b.example\n\nhello", b"From: a@b.example\n\nhello\n"):
        file = tmp_path / "mail.eml"
        file.write_bytes(content)
        texts.append(
            json.loads(explain("--json", "--rcpt", "bob@example.net", file).stdout)["submissions"][0]["text_body"]
        )

    assert texts == ["hello\n"] * 3


def test_refusal_is_explained(tmp_path: Path) -> None:
    """A mail that would be refused says with which reply and by which rule; for people the exit status says so, too."""
    file = tmp_path / "nobody.eml"
    file.write_bytes(b"Subject: from nobody\n\nhello\n")
    (answer,) = map(json.loads, explain("--json", "--rcpt", "bob@example.net", file).stdout.splitlines())
    shown = explain("--rcpt", "bob@example.net", file)

    assert answer["decision"] == "refuse"
    assert answer["reply"].startswith("550 5.6.0")
    assert answer["rule"] == "no_sender"
    assert answer["submissions"] == []
    assert shown.returncode == 2
    assert "550 5.6.0" in shown.stdout


def test_losses_and_content_are_shown(tmp_path: Path) -> None:
    """For people: the submission without the Base64, and what JSON cannot say by which rule."""
    mail = mails.rich("rich", mails.pattern(5000))
    mail["DKIM-Signature"] = "v=1; a=rsa-sha256; d=example.com"
    file = tmp_path / "rich.eml"
    file.write_bytes(mail.as_bytes())
    shown = explain("--rcpt", "bob@example.net", file)

    assert shown.returncode == 0
    assert "(seal_broken)" in shown.stdout
    assert "characters of Base64" in shown.stdout
    assert "account  default" in shown.stdout


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_file_that_cannot_be_read_is_one_of_many(form: list[str], tmp_path: Path) -> None:
    """A missing file is an error, not a refusal: it is named on standard error, the others are explained, the exit status is 1."""
    file, gone = tmp_path / "mail.eml", tmp_path / "gone.eml"
    file.write_bytes(mails.simple("there").as_bytes())
    shown = explain(*form, gone, tmp_path, file)

    assert shown.returncode == 1
    assert shown.stderr.splitlines() == [
        f"qboxrelay: {gone}: No such file or directory",
        f"qboxrelay: {tmp_path}: Is a directory",
    ]
    assert "gone" not in shown.stdout
    assert "there" in shown.stdout
    assert "accept" in shown.stdout


def test_standard_input(tmp_path: Path) -> None:
    """`-` is the mail on standard input, with the same answer as a file of it."""
    file = tmp_path / "mail.eml"
    file.write_bytes(mails.simple("piped").as_bytes())
    with file.open("rb") as piped:
        answer = json.loads(explain("--json", "-", stdin=piped).stdout)

    assert answer == {**json.loads(explain("--json", file).stdout), "file": "-"}


DOORS = """
[[listeners]]
name = "lan"
address = "127.0.0.1:2525"
allow_networks = ["192.168.1.0/24"]
max_message_bytes = 2000

[[listeners]]
name = "login"
address = "127.0.0.1:2526"
auth = "required"
auth_without_tls = true

[[users]]
name = "erp"
password_hash_file = "erp.hash"
senders = ["erp@example.com"]
account = "second"

[[accounts]]
name = "first"
token_file = "token"

[[accounts]]
name = "second"
token_file = "token"
"""


@pytest.mark.parametrize(
    ("options", "reply", "rule"),
    [
        ("--client 192.168.1.7", "250 2.0.0", None),
        ("", "250 2.0.0", None),
        ("--client 192.0.2.1", "554 5.7.1", "allow_networks"),
        ("--client 192.0.2.1 --listener login", "530 5.7.0", "auth"),
        ("--listener login --user erp --sender ann@example.com", "553 5.7.1", "user_senders"),
        ("--listener login --user erp --sender erp@example.com", "250 2.0.0", None),
        ("--large", "552 5.3.4", "max_message_bytes"),
    ],
)
def test_what_the_door_refuses_is_refused(options: str, reply: str, rule: str | None, tmp_path: Path) -> None:
    """Who the client is, as whom it has logged in, how large the mail is: explained as the listener would answer."""
    config, file = tmp_path / "qboxrelay.toml", tmp_path / "mail.eml"
    config.write_text(f'[relay]\ndata_dir = "{tmp_path}"\n{DOORS}')
    (tmp_path / "token").write_text("secret\n")
    hashed = subprocess.run(
        [sys.executable, "-m", "qboxrelay", "hash-password"],
        input="hunter2\n",
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "erp.hash").write_text(hashed.stdout)
    body = "line\n" * 380 if options == "--large" else "hello\n"
    file.write_text(f"From: erp@example.com\nTo: bob@example.net\n\n{body}")
    arguments = options.replace("--large", "").split()
    answer = json.loads(explain("--json", "--config", config, *arguments, file).stdout)

    assert answer["reply"].startswith(reply)
    assert answer.get("rule") == rule
    if "--user" in options and rule is None:
        assert answer["account"] == "second"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--client", "printer"], "'printer' is not an IP address"),
        (["--listener", "lna"], "no listener 'lna'"),
        (["--user", "erp"], "no user 'erp'"),
        (["--rcpt", "bob"], "'bob' is not an address"),
        (["--rcpt", "<>"], "an empty address receives nothing"),
        (["--sender", "a b@example.com"], "'a b@example.com' is not an address"),
    ],
)
def test_a_wrong_option_is_an_error(options: list[str], told: str, tmp_path: Path) -> None:
    """A slip of the pen must not explain another mail than the one that was meant."""
    file = tmp_path / "mail.eml"
    file.write_bytes(mails.simple("slip").as_bytes())
    shown = explain(*options, file)

    assert shown.returncode == 2
    assert told in shown.stderr
    assert shown.stdout == ""
