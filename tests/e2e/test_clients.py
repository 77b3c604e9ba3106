"""Real clients hand in mail; it arrives at the Send API with recipients, bodies and attachments as they were."""

import base64
import json
import os
import shutil
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

StartRelay = Callable[..., Relay]


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def arrived(qboxmail: Sandbox, count: int = 1) -> list[dict[str, Any]]:
    wait_until(lambda: len(qboxmail.messages()) >= count, what=f"{count} messages at the sandbox")
    found = qboxmail.messages()
    assert len(found) == count
    return [entry["message"] for entry in found]


def addresses(field: Any) -> list[str]:
    return [entry["address"] if isinstance(entry, dict) else entry for entry in field or []]


def decoded(attachment: dict[str, str]) -> bytes:
    return base64.b64decode(attachment["content"], validate=True)


def test_smtplib_rich_mail(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """Text, HTML, inline image and attachment of one mail arrive whole; blind recipients stay blind."""
    relay = start_relay()
    content = mails.pattern(200_000)
    mail = mails.rich("Grüße aus Köln", content)
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("zoe@example.com", ["bob@example.net", "cc@example.net", "blind@example.net"], mails.wire(mail))

    (message,) = arrived(qboxmail)

    assert message["subject"] == "Grüße aus Köln"
    assert addresses(message["to"]) == ["bob@example.net"]
    assert addresses(message["cc"]) == ["cc@example.net"]
    assert addresses(message["bcc"]) == ["blind@example.net"]
    assert message["from"]["name"] == "Zoë Ångström"
    assert "token Grüße aus Köln" in message["text_body"]
    assert 'src="cid:logo@example.com"' in message["html_body"]
    by_name = {attachment["filename"]: attachment for attachment in message["attachments"]}
    assert decoded(by_name["Übersicht 2026.bin"]) == content
    assert by_name["Übersicht 2026.bin"]["disposition"] == "attachment"
    assert decoded(by_name["logo.png"]) == mails.PNG
    assert by_name["logo.png"]["disposition"] == "inline"
    assert by_name["logo.png"]["content_id"] == "logo@example.com"


def test_reply_names_the_id_that_the_api_gets(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """One id leads from the 250 to the submission at the API and its request_id in the log."""
    relay = start_relay()
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.mail("ann@example.com")
        client.rcpt("bob@example.net")
        code, text = client.data(mails.wire(mails.simple("one id")))
    transaction = text.decode().rpartition(" ")[2]

    (message,) = arrived(qboxmail)
    (closing,) = wait_until(lambda: relay.events("submission.sent"), what="the closing line")

    assert code == 250
    assert message["headers"]["X-Qboxrelay-Id"] == f"{transaction}-1"
    assert closing["transaction"] == transaction
    assert closing["request_id"] == qboxmail.messages()[0]["request_id"]
    assert closing["message_id"] == qboxmail.messages()[0]["message_id"]


@needs("swaks")
def test_swaks_attachment_and_inline_image(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """swaks with an attachment and an inline image."""
    relay = start_relay()
    attachment, image = tmp_path / "report.bin", tmp_path / "logo.png"
    attachment.write_bytes(mails.pattern(50_000))
    image.write_bytes(mails.PNG)
    run = subprocess.run(
        [
            "swaks", "--server", f"{HOST}:{relay.smtp_port}", "--from", "ann@example.com", "--to", "bob@example.net",
            "--header", "Subject: from swaks", "--body", "a body",
            "--attach-type", "application/octet-stream", "--attach-name", "report.bin", "--attach", f"@{attachment}",
            "--attach-type", "image/png", "--attach-name", "logo.png", "--attach", f"@{image}",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout

    (message,) = arrived(qboxmail)

    assert message["subject"] == "from swaks"
    assert message["text_body"].strip() == "a body"
    contents = {entry["filename"]: decoded(entry) for entry in message["attachments"]}
    assert contents == {"report.bin": attachment.read_bytes(), "logo.png": mails.PNG}


@needs("msmtp")
def test_msmtp(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """msmtp, reading the recipients from the header; Bcc is mailed and not shown."""
    relay = start_relay()
    mail = mails.simple("from msmtp")
    mail["Bcc"] = "hidden@example.net"
    subprocess.run(
        ["msmtp", f"--host={HOST}", f"--port={relay.smtp_port}", "--from=ann@example.com", "-t", "--remove-bcc=off"],
        input=mail.as_bytes(), timeout=60, check=True,
    )  # fmt: skip

    (message,) = arrived(qboxmail)

    assert addresses(message["to"]) == ["bob@example.net"]
    assert addresses(message["bcc"]) == ["hidden@example.net"]
    assert "bcc" not in {name.lower() for name in message["headers"]}


@needs("curl")
def test_curl(start_relay: StartRelay, qboxmail: Sandbox, tmp_path: Path) -> None:
    """curl's smtp:// with an uploaded mail."""
    relay = start_relay()
    file = tmp_path / "mail.eml"
    file.write_bytes(mails.rich("from curl", mails.pattern(10_000)).as_bytes().replace(b"\n", b"\r\n"))
    subprocess.run(
        ["curl", "--silent", "--show-error", f"smtp://{HOST}:{relay.smtp_port}/client.example", "--mail-from", "zoe@example.com",
         "--mail-rcpt", "bob@example.net", "--mail-rcpt", "cc@example.net", "--upload-file", str(file)],
        timeout=60, check=True,
    )  # fmt: skip

    (message,) = arrived(qboxmail)

    assert addresses(message["to"]) + addresses(message["cc"]) == ["bob@example.net", "cc@example.net"]
    assert decoded(message["attachments"][-1]) == mails.pattern(10_000)


NODEMAILER = """
const nodemailer = require("nodemailer");
const transport = nodemailer.createTransport({host: process.argv[2], port: +process.argv[3], ignoreTLS: true});
transport.sendMail({
  from: '"Zoë" <zoe@example.com>', to: "bob@example.net", bcc: "hidden@example.net", subject: "from nodemailer ✓",
  text: "plain ✓", html: '<b>rich</b> <img src="cid:pic">',
  attachments: [
    {filename: "Größe.bin", content: Buffer.from(process.argv[4], "base64")},
    {filename: "pic.png", content: Buffer.from(process.argv[5], "base64"), cid: "pic"},
  ],
}).then(info => console.log(JSON.stringify(info)), error => { console.error(error.message); process.exit(1); });
"""


@needs("node")
def test_nodemailer(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """nodemailer, the most used client of Node.js."""
    modules = os.environ.get("TESTS_NODE_MODULES", "")
    if not (Path(modules) / "nodemailer").is_dir():
        pytest.skip(
            "nodemailer is not installed: npm install nodemailer, and name its node_modules in TESTS_NODE_MODULES"
        )
    relay = start_relay()
    content = mails.pattern(30_000)
    argv = [HOST, str(relay.smtp_port), base64.b64encode(content).decode(), base64.b64encode(mails.PNG).decode()]
    run = subprocess.run(
        ["node", "-", *argv], input=NODEMAILER, env={**os.environ, "NODE_PATH": modules}, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["accepted"] == ["bob@example.net", "hidden@example.net"]

    (message,) = arrived(qboxmail)

    assert message["subject"] == "from nodemailer ✓"
    assert addresses(message["bcc"]) == ["hidden@example.net"]
    contents = {entry["filename"]: decoded(entry) for entry in message["attachments"]}
    assert contents == {"Größe.bin": content, "pic.png": mails.PNG}


def test_one_liner_of_the_documentation(start_relay: StartRelay, qboxmail: Sandbox) -> None:
    """The line that `qboxrelay demo` prints needs nothing but Python."""
    relay = start_relay()
    mail = r"From: Ann <ann@example.com>\nTo: Bob <bob@example.net>\nSubject: Hello\n\nIt works."
    line = f"import smtplib; smtplib.SMTP('{HOST}', {relay.smtp_port}).sendmail('ann@example.com', 'bob@example.net', '{mail}')"
    subprocess.run([sys.executable, "-c", line], timeout=60, check=True)

    (message,) = arrived(qboxmail)

    assert message["text_body"].strip() == "It works."
