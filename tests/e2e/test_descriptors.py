"""A relay whose parent left it few file descriptors."""

import smtplib
import socket
from collections.abc import Callable
from contextlib import ExitStack

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, wait_until

FEW = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]


def test_clients_over_the_descriptors_are_told_so(start_relay: Callable[..., Relay], qboxmail: Sandbox) -> None:
    """With 64 descriptors for 60 clients those who find no room are told 421, mail still leaves, and room that comes back is used."""
    relay = start_relay()
    assert relay.stop() == 0
    relay.start(prefix=FEW)
    with ExitStack() as connections:
        first = connections.enter_context(smtplib.SMTP(HOST, relay.smtp_port, timeout=60))
        greetings = []
        for _ in range(60):
            client = connections.enter_context(socket.create_connection((HOST, relay.smtp_port), timeout=60))
            greetings.append(client.recv(1000)[:4])
        first.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("crowded")))
        wait_until(qboxmail.messages, what="the mail is sent")

    assert set(greetings) == {b"220 ", b"421 "}
    (line,) = relay.events("descriptors.few")
    assert greetings.count(b"220 ") + 1 == line["possible"]

    def room() -> bool:
        with socket.create_connection((HOST, relay.smtp_port), timeout=60) as client:
            return client.recv(1000).startswith(b"220 ")

    wait_until(room, what="there is room again")
    assert not relay.events("descriptors.used_up")
