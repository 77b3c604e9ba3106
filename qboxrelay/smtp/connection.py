"""One connection: aiosmtpd's `SMTP` with our loop, our reader, buffered replies and time limits that see progress.

In: a transport. Out: command lines to `_serve`, replies to the client. Never: a handler cancelled because the client went away
(aiosmtpd would), a reply written after the last one, a connection that stays because its client reads nothing.
"""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, ClassVar

import structlog

from qboxrelay.model.reply import Reply
from qboxrelay.smtp import replies
from qboxrelay.smtp.auth import MAX_LINE_BYTES
from qboxrelay.smtp.deadline import Deadline
from qboxrelay.smtp.door import Door
from qboxrelay.smtp.output import Output
from qboxrelay.smtp.proxy import Peer
from qboxrelay.smtp.reader import Disconnected, LineTooLong, Reader
from qboxrelay.smtp.standing import Standing

log = structlog.get_logger()

_MAX_COMMAND_BYTES = 4096
"""RFC 5321 §4.5.3.1.4 asks for 512; parameters and long addresses of real clients take more."""
_HTTP = re.compile(rb"\A(?:GET|POST|HEAD|PUT|OPTIONS|CONNECT) | HTTP/[0-9]")
"""A request line, of a method that nobody has thought of, too: its body may be a whole SMTP session (cross-protocol request forgery)."""
_TLS_HANDSHAKE = b"\x16\x03"
_TLS_HINT = (
    "the client begins with TLS: choose STARTTLS or no encryption in it, or give it a listener with implicit TLS"
)
_COMMANDS_AT_ONCE = 100
"""Pipelined commands that are served before the event loop goes on to other connections."""

Work = Coroutine[Any, Any, None]


class Connection(Output):
    """What every command relies on."""

    _paused: bool
    """asyncio's: whether the client reads too slowly for more replies."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop, peer: Peer | None = None) -> None:
        # aiosmtpd's own __init__ looks its methods up anew for every connection; nothing of what it prepares is used here.
        asyncio.StreamReaderProtocol.__init__(self, asyncio.StreamReader(loop=loop), self._cb_client_connected, loop)
        self.loop = loop
        self.hostname = door.hostname
        self.transport: Any = None
        self.session = None
        self.envelope = None
        self._door = door
        self._settings = door.settings
        self._metrics = door.metrics
        self._times = door.times
        self._socket_peer: Peer = peer or ("", 0)
        self._named_peer = peer is not None
        self._lines = Reader(loop, door.pace)
        self._out = b""
        self._deadline = Deadline(loop, self._expired)
        self._expiry = replies.IDLE
        self._whole: asyncio.TimerHandle | None = None
        self._bad_commands = 0
        self._busy = False
        self._working: asyncio.Task[None] | None = None
        self._counted_in = False
        self._ending: Reply | None = None
        self._finished = False
        self._wire: str | None = None
        self._standing_now: Standing | None = None
        """None: to be looked at anew."""

    @property
    def busy(self) -> bool:
        """Whether a mail is being received or stored: a stop waits for it."""
        return self._busy

    @property
    def tls_version(self) -> str | None:
        """Such as `TLSv1.3`; None in clear text."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        return tls.version() if tls is not None else None

    def stop(self, reply: Reply = replies.STOPPING) -> None:
        """Say 421 as soon as no mail is under way."""
        self._ending = reply
        if not self._busy:
            self._hang_up(reply)

    # --- the connection, as asyncio sees it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        if not self._named_peer and isinstance(peer, tuple):
            # The client may be gone before it is asked for its name.
            self._socket_peer = (str(peer[0]), int(peer[1]))
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = transport
        self._lines.attach(self.transport)
        self._welcome()

    def data_received(self, data: bytes) -> None:
        self._lines.feed(data)
        self._pump()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._pump()

    def connection_lost(self, error: Exception | None) -> None:
        """Unlike aiosmtpd, leave the work under way be: the reader tells it that the client is gone, and a commit goes on."""
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self._lines.end()
        self.transport = None
        self._finished = True
        self._leave()

    def eof_received(self) -> bool | None:
        """A client that closes its side after the final dot still gets its reply; TLS cannot be half closed."""
        self._lines.end()
        self._pump()
        return self.tls_version is None

    # --- time

    def _limit_time(self, seconds: float, expiry: Reply) -> None:
        self._expiry = expiry
        self._deadline.set(seconds)

    def _expired(self) -> None:
        self._metrics.limited(_LIMITS[self._expiry])
        self._hang_up(self._expiry)

    def _session_expired(self) -> None:
        self._metrics.limited("session_timeout")
        self.stop(replies.SESSION_TOO_LONG)

    # --- the commands, one after the other

    def _welcome(self) -> None:
        refusal = self._door.sessions.opened(self, self._client_address)
        self._counted_in = True
        if refusal is not None:
            self._hang_up(refusal)
            return
        self._wire = self._door.wire.watching(self._client_address)
        self._whole = self.loop.call_later(self._times.session, self._session_expired)
        self._say(self._door.greeting)
        self._flush()
        self._limit_time(self._times.idle, replies.IDLE)

    def _pump(self) -> None:
        """Serve the commands that are here, until one of them takes time. Most take none: they need no task of their own."""
        served = 0
        while self._working is None and not self._finished and not self._paused:
            if served == _COMMANDS_AT_ONCE:
                # Others are waiting, too.
                self._flush()
                self.loop.call_soon(self._pump)
                return
            if not self._lines.begun or not self._serve_next():
                self._rest(served=served > 0)
                return
            served += 1
            if self._ending is not None and not self._busy:
                self._hang_up(self._ending)
        if self._paused and self._working is None and not self._busy:
            # The client does not read its replies, and may take its time for it as for a command.
            self._limit_time(self._times.idle, replies.IDLE)

    def _serve_next(self) -> bool:
        """Serve one command; False when none is here."""
        try:
            line = self._lines.take_line(MAX_LINE_BYTES)
            if line is None:
                return False
            work = self._serve(line)
            if work is not None:
                self._start(work)
        except LineTooLong:
            self._fault(replies.LINE_TOO_LONG)
        except Exception as error:  # noqa: BLE001 - the boundary: a surprise of ours is temporary for the mail
            self._crashed(error)
        return True

    def _serve_alone(self, line: bytes) -> None:
        """As `_pump`, where one line is all that is here."""
        try:
            work = self._serve(line)
            if work is not None:
                self._start(work)
        except Exception as error:  # noqa: BLE001 - the boundary: a surprise of ours is temporary for the mail
            self._crashed(error)
        if self._ending is not None and not self._busy:
            self._hang_up(self._ending)
        if self._working is None and not self._finished:
            self._flush()
            if not self._busy:
                self._limit_time(self._times.idle, replies.IDLE)

    def _start(self, work: Work) -> None:
        self._working = self.loop.create_task(self._work(work))

    def _rest(self, *, served: bool) -> None:
        """Until the client says more; `served`: a command has just ended, so that the next one's time begins now."""
        # A content may have ended while its client was held back.
        self._lines.resume()
        if self._out:
            self._flush()
        if self._lines.ended:
            self._finished = True
            self._close()
        elif self._busy:
            # In the middle of a content, which has its own pace.
            return
        elif not self._lines.begun:
            self._limit_time(self._times.idle, replies.IDLE)
        elif self._lines.begins_with(_TLS_HANDSHAKE):
            # It would wait for an answer in TLS before its next byte, and a line end may never come.
            self._refuse_tls()
        elif served or self._expiry is not replies.SLOW_COMMAND:
            self._limit_time(self._times.command, replies.SLOW_COMMAND)

    async def _work(self, work: Work) -> None:
        """A command that takes time; those behind it wait."""
        try:
            await work
        except (Disconnected, ConnectionError):
            log.debug("session.disconnected", peer=self._client_address)
            self._finished = True
            self._close()
        except asyncio.CancelledError:
            # Only the end of the event loop does that.
            self.abort()
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: a surprise of ours is temporary for the mail
            self._crashed(error)
        self._working = None
        if self._ending is not None:
            self._hang_up(self._ending)
        self._flush()
        # The work may have stopped the clock; what is served next may wait for the client.
        self._limit_time(self._times.idle, replies.IDLE)
        # Mostly the client waits for the answer: then all that `_pump` would do has just been done.
        if not self._lines.at_rest:
            self._pump()
        if self.transport is None:
            self._leave()

    def _leave(self) -> None:
        """When the client is gone and nothing is under way for it."""
        if self.transport is not None or self._working is not None or not self._counted_in:
            return
        self._counted_in = False
        self._deadline.close()
        if self._whole is not None:
            self._whole.cancel()
            self._whole = None
        self._forget_mail()
        # What refers to this connection, and holds octets: counting references frees it then, at once, and with it what TLS needed.
        self._lines.forget()
        # asyncio's two, which refer back.
        self._writer = None  # type: ignore[assignment]
        self._client_connected_cb = None
        self._door.sessions.closed(self, self._client_address)

    def _serve(self, line: bytes) -> Work | None:
        """Do what the line says; work that takes time is returned, to be done before the next line."""
        if len(line) > _MAX_COMMAND_BYTES and line[:5].upper() != b"AUTH ":
            # Only AUTH may be long, RFC 4954 §4.
            self._fault(replies.LINE_TOO_LONG)
            return None
        verb, _, argument = line.partition(b" ")
        command = self._commands.get(verb) or self._commands.get(verb.upper())
        if self._wire is not None:
            self._wire_line(verb, line)
        if command is None:
            self._metrics.commanded("unknown")
            self._reject_unknown(line)
            return None
        name, method = command
        self._metrics.commanded(name)
        work: Work | None = method(self, argument.strip().decode("utf-8", "surrogateescape") if argument else None)
        return work

    def _reject_unknown(self, line: bytes) -> None:
        if _HTTP.search(line):
            self._hang_up(replies.HTTP)
        elif line.startswith(_TLS_HANDSHAKE):
            self._refuse_tls()
        else:
            self._fault(replies.UNKNOWN)

    def _refuse_tls(self) -> None:
        # The client cannot read the reply: whoever looks for its mail finds the reason here.
        log.warning("session.tls_in_clear", peer=self._client_address, listener=self._settings.name, hint=_TLS_HINT)
        self._hang_up(replies.TLS_IN_CLEAR)

    _commands: ClassVar[dict[bytes, tuple[str, Any]]] = {}
    """Names and methods by verb, made once: aiosmtpd looks them up for every connection."""

    def _crashed(self, error: Exception) -> None:
        """The answer to a surprise of ours: temporary, and without a word of it."""
        self._report(error)
        self._forget_mail()
        self._say(replies.INTERNAL)

    def _report(self, error: Exception) -> None:
        log.error("session.crashed", peer=self._client_address, exc_info=error)

    def _forget_mail(self) -> None:
        """Back to where MAIL may come."""

    # --- TLS

    async def _start_tls(self) -> None:
        """Begin TLS on this connection (RFC 3207). Raises `Disconnected` when the handshake fails."""
        assert self._door.tls is not None, "offered only with a context"
        self._flush()
        try:
            # The only wait in clear text; what came until its end must not be read as commands (CVE-2011-0411).
            await self._writer.drain()
            self._lines.discard()
            await self._writer.start_tls(self._door.tls, ssl_handshake_timeout=self._times.command)
        except (OSError, TimeoutError) as error:
            log.warning("tls.handshake_failed", peer=self._client_address, error=type(error).__name__)
            self._metrics.tls_failed(self._settings.name)
            raise Disconnected from error
        self._standing_now = None
        self.transport = self._writer.transport
        self._lines.attach(self.transport)

    # --- who it is

    @property
    def _client_address(self) -> str:
        return self._socket_peer[0]

    def _wire_line(self, verb: bytes, line: bytes) -> None:
        """A command as it came. What is none may be a password, or the content of a mail whose DATA was refused: only its size is shown."""
        name = verb.upper()
        shown = b"AUTH ***" if name == b"AUTH" else line
        self._door.wire.client(
            self._wire or "", shown if name in self._commands else b"<%d bytes, no command>" % len(line)
        )


_LIMITS = {
    replies.IDLE: "idle_timeout",
    replies.SLOW_COMMAND: "command_timeout",
    replies.SLOW_DATA: "data_timeout",
}
