"""An application that sends as root@localhost, through a relay that knows better."""

import json
import smtplib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.processes import HOST, Relay, Sandbox, wait_until

RULES = """
[[senders]]
name = "bulk"
header_from = ["bulk@*"]
action = "refuse"
refuse_text = "Send newsletters through the shop"

[[senders]]
name = "local-programs"
networks = ["127.0.0.0/8"]
header_from = ["*@localhost", "www-data@*"]
from_address = "noreply@example.com"
from_name = "Web server"
"""
MAIL = b"From: Cron <root@localhost>\r\nTo: bob@example.net\r\nSubject: report\r\nReply-To: ops@example.com\r\n\r\nhello\r\n"


def test_local_program_is_rewritten(start_relay: Callable[..., Relay], qboxmail: Sandbox, tmp_path: Path) -> None:
    """What arrives is from the configured address with the original visible, and `explain` says which rule did it."""
    relay = start_relay(extra=RULES)
    with smtplib.SMTP(HOST, relay.smtp_port) as client:
        client.sendmail("root@localhost", ["bob@example.net"], MAIL)
        client.mail("bulk@example.com")
        client.rcpt("bob@example.net")
        refused = client.data(b"From: bulk@example.com\r\n\r\nbuy\r\n")
    (arrived,) = wait_until(qboxmail.messages, what="the mail")
    message: dict[str, Any] = arrived["message"]

    assert message["from"] == {"address": "noreply@example.com", "name": "Web server (root@localhost)"}
    assert message["reply_to"] == [{"address": "ops@example.com"}]
    assert refused == (550, b"5.7.1 Send newsletters through the shop")
    assert relay.metric('qboxrelay_sender_rule_matches_total{rewritten="yes",rule="local-programs"}') == 1

    file = tmp_path / "mail.eml"
    file.write_bytes(MAIL)
    command = [sys.executable, "-m", "qboxrelay", "explain", "--config", str(relay.config), str(file)]
    answer = json.loads(subprocess.run([*command, "--json"], capture_output=True, timeout=120, check=True).stdout)
    assert answer["sender_rule"] == "local-programs"
    assert answer["submissions"][0]["from"] == message["from"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "rule     local-programs" in shown
    elsewhere = [*command, "--json", "--client", "192.0.2.1"]
    answer = json.loads(subprocess.run(elsewhere, capture_output=True, timeout=120, check=True).stdout)
    assert answer["sender_rule"] is None
