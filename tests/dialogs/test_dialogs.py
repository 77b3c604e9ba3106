r"""SMTP dialogues as scripts, one behaviour a file, over a real socket.

A file says, line by line:

    # what is promised
    set: KEY = VALUE      a setting of the listener, as TOML; `memory` is that of all mails being received, in bytes
    user: TABLE           a user who may log in, as an inline table with the keys of [[users]], and `password` or `cram_md5` in clear text
    logins: KEY = VALUE   a setting of [logins]
    C: TEXT               the client sends the line with CRLF; `\r`, `\n`, `\x00`, `\\` are escapes, `{x*900}` is 900 times x
    C+ TEXT               as `C:`, without CRLF behind it
    S: TEXT               the next line of the server begins so; of a multi-line reply each line is one
    S* CODE               the server's next reply has this code, whatever its lines say
    EOF                   the client closes its sending side
    CLOSED                the server has closed the connection
    limited: NAME         the limit of this name has acted, and its metric shows it
    got: JSON             what admission was given so far, a list of {"from", "to", "content"}, with "user" and "account" if there is a login
"""

import asyncio
import json
import re
import time
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from qboxrelay.intake.suppressed import REFUSED
from qboxrelay.model.address import Address
from qboxrelay.model.clock import SystemClock
from qboxrelay.model.envelope import Envelope
from qboxrelay.model.reply import Reply
from qboxrelay.policy.login.logins import Logins
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp.limits import Memory
from qboxrelay.smtp.listener import House, SmtpListener
from qboxrelay.smtp.wirelog import WireLog
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics
from tests.support.logins import logins

FOLDER = Path(__file__).parent
SCRIPTS = sorted(FOLDER.glob("*.dialog"))
PATIENCE_SECONDS = 60


class ClockFromNow(SystemClock):
    """Begins with a minute, so that none ends within a dialogue: limits count by the minutes of the clock."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic() - self._began


class Recording:
    """An admission that takes everything, and breaks where a mail asks for it. It knows nothing good of `refused.example`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    async def admit(self, envelope: Envelope, content: bytes) -> Reply:
        if b"X-Break: yes" in content:
            raise RuntimeError("a secret detail")
        self.got.append(
            {
                "from": str(envelope.sender) if envelope.sender else None,
                "to": [str(recipient.address) for recipient in envelope.recipients],
                "content": content.decode("latin-1"),
                **({"user": envelope.client.user, "account": envelope.account} if envelope.client.user else {}),
            }
        )
        return Reply(250, "2.0.0", "Ok: queued as ID")

    judges_senders = True
    judges_recipients = True

    async def refused_sender(self, sender: Address | None) -> Reply | None:
        if sender is not None and sender.domain == "refused.example":
            return Reply(550, "5.7.1", "refused.example may not send")
        return None

    async def refused_recipient(self, address: Address) -> Reply | None:
        return REFUSED if address.local == "suppressed" else None


@pytest.mark.parametrize("script", [pytest.param(path, id=path.stem) for path in SCRIPTS])
def test_dialogue(script: Path) -> None:
    """The server says what the script says."""
    asyncio.run(_play(script.read_text().splitlines()))


def test_there_are_dialogues() -> None:
    """None was lost."""
    assert len(SCRIPTS) >= 80


async def _play(lines: list[str]) -> None:
    users = [tomllib.loads(f"user = {text}")["user"] for text in _said(lines, "user: ")]
    limits = tomllib.loads("\n".join(_said(lines, "logins: ")))
    registry = CollectorRegistry()
    with logins(users, registry=registry, **limits) if users else nullcontext() as doorkeeper:
        await _converse(lines, doorkeeper, registry)


async def _converse(lines: list[str], doorkeeper: Logins | None, registry: CollectorRegistry) -> None:
    admission = Recording()
    values = tomllib.loads("\n".join(_said(lines, "set: ")))
    memory = Memory(values.pop("memory", 100_000_000))
    listener = SmtpListener(
        settings=ListenerSettings.model_validate({"address": "127.0.0.1:0", **values}),
        house=House(
            hostname="relay.example",
            admission=admission,
            clock=ClockFromNow(),
            metrics=SmtpMetrics(registry),
            memory=memory,
            wire=WireLog(None, SystemClock()),
            logins=doorkeeper,
        ),
    )
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for line in _steps(lines):
                await _step(line, reader, writer, admission, registry)
    finally:
        writer.close()
        await listener.close()
        await listener.wait_idle(timedelta(seconds=5))


def _said(lines: list[str], kind: str) -> list[str]:
    return [line.removeprefix(kind) for line in lines if line.startswith(kind)]


def _steps(lines: list[str]) -> Iterator[str]:
    yield from (line for line in lines if line and not line.startswith(("#", "set: ", "user: ", "logins: ")))


async def _step(
    line: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    admission: Recording,
    registry: CollectorRegistry,
) -> None:
    kind, rest = line[:2], line[3:]
    if kind in {"C:", "C+"}:
        repeated = re.sub(r"\{(.)\*([0-9]+)\}", lambda found: found[1] * int(found[2]), rest)
        text = repeated.encode().decode("unicode_escape").encode("latin-1")
        writer.write(text + (b"\r\n" if kind == "C:" else b""))
    elif kind == "S:":
        said = (await reader.readline()).decode("latin-1")
        assert said.startswith(rest), f"wanted {rest!r}, the server said {said!r}"
        assert said.endswith("\r\n")
    elif kind == "S*":
        while (said := (await reader.readline()).decode("latin-1"))[3:4] == "-":
            assert said.startswith(rest), said
        assert said.startswith(rest), f"wanted {rest!r}, the server said {said!r}"
    elif line == "EOF":
        writer.write_eof()
    elif line == "CLOSED":
        assert await reader.read() == b""
    else:
        _look(line, admission, registry)


def _look(line: str, admission: Recording, registry: CollectorRegistry) -> None:
    if line.startswith("limited: "):
        assert registry.get_sample_value("qboxrelay_smtp_limited_total", {"limit": line.removeprefix("limited: ")})
    elif line.startswith("got: "):
        assert admission.got == json.loads(line.removeprefix("got: "))
    else:
        pytest.fail(f"no such step: {line}")
