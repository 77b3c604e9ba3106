"""What the client hears: replies that are gathered and leave together, and the last one.

In: replies. Out: octets on the transport, the wire log, the metrics. Never: a reply written after the last one, or a wait for a client
that reads nothing.
"""

import asyncio
import contextlib
from typing import Any

from aiosmtpd.smtp import SMTP

from qboxrelay.model.reply import Reply
from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.smtp import replies
from qboxrelay.smtp.deadline import Deadline
from qboxrelay.smtp.door import Door
from qboxrelay.smtp.reader import Disconnected, Reader
from qboxrelay.telemetry.metrics_smtp import SmtpMetrics

_GOODBYE_SECONDS = 5.0
"""How long a client may take to read the last reply."""
_GOODBYE_BYTES = 64 * 1024 * 1024


class Output(SMTP):
    """The half of a connection that writes."""

    loop: asyncio.AbstractEventLoop
    transport: Any
    _door: Door
    _settings: ListenerSettings
    _metrics: SmtpMetrics
    _lines: Reader
    _deadline: Deadline
    _out: bytes
    _bad_commands: int
    _finished: bool
    _wire: str | None

    def abort(self) -> None:
        """Cut the connection; a mail without its 250 is then the client's to send again."""
        if self.transport is not None:
            self.transport.abort()

    async def push(self, status: str | bytes) -> None:
        """aiosmtpd's name for writing one reply line."""
        text = status if isinstance(status, str) else status.decode("utf-8", "replace")
        self._write(int(text[:3]), text)

    def _say(self, reply: Reply) -> None:
        """Write a reply; it leaves with those of the other commands that are here already (RFC 2920)."""
        if self._finished:
            return
        self._metrics.replied(reply.code)
        self._out += reply.line
        if self._wire is not None:
            self._door.wire.server(self._wire, str(reply))

    def _answer(self, reply: Reply) -> None:
        """Write a reply that may be the last one: 421 announces the end (RFC 5321 §3.8)."""
        if reply.code == 421:
            self._hang_up(reply)
        else:
            self._say(reply)

    def _say_lines(self, code: int, lines: list[str]) -> None:
        """Write a reply of several lines."""
        shown = [f"{code}-{line}" for line in lines[:-1]] + [f"{code} {lines[-1]}"]
        self._write(code, "\r\n".join(shown))

    def _write(self, code: int, text: str) -> None:
        if self._finished:
            return
        self._metrics.replied(code)
        self._out += text.encode("utf-8", "replace") + b"\r\n"
        if self._wire is not None:
            self._door.wire.server(self._wire, text)

    def _fault(self, reply: Reply) -> None:
        """Write a reply to what is not a command; after too many of them the client is something else."""
        self._bad_commands += 1
        if self._bad_commands >= self._settings.max_bad_commands:
            self._metrics.limited("max_bad_commands")
            self._hang_up(replies.TOO_MANY_ERRORS)
        else:
            self._say(reply)

    def _flush(self) -> None:
        if self._out and self.transport is not None and not self.transport.is_closing():
            self.transport.write(self._out)
        self._out = b""

    def _hang_up(self, reply: Reply) -> None:
        """The last reply, and the end."""
        if not self._finished and self.transport is not None:
            self._say(reply)
            self._flush()
            self._close()
        self._finished = True

    async def _cut_off(self, reply: Reply) -> None:
        """The last reply to a client that is still sending: a closed socket would take the reply with it, so go on reading a little."""
        self._say(reply)
        self._flush()
        self._finished = True
        self._deadline.clear()
        with contextlib.suppress(Disconnected, ConnectionError, TimeoutError, RuntimeError):
            if self.transport is not None and self.transport.can_write_eof():
                self.transport.write_eof()
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._lines.skip(_GOODBYE_BYTES)
        self.abort()

    def _close(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        unread = transport.get_write_buffer_size()
        transport.close()
        if unread:
            # A client that does not read would keep the connection.
            self.loop.call_later(_GOODBYE_SECONDS, transport.abort)
