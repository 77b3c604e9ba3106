"""DATA and BDAT in a session: content within its limits of size, pace and memory, then admission's answer.

In: bytes of content. Out: the mail as an envelope and its content, for admission. Never: content beyond the limits in memory, a
transfer that goes on cut off, one that drips kept.
"""

from qboxrelay.model.envelope import Client, Envelope, client_key
from qboxrelay.model.reply import Reply
from qboxrelay.smtp import replies
from qboxrelay.smtp.authentication import Authentication
from qboxrelay.smtp.connection import Work
from qboxrelay.smtp.content import Content, TooLarge
from qboxrelay.smtp.parameters import read_chunk
from qboxrelay.smtp.reader import Disconnected
from qboxrelay.smtp.standing import Standing
from qboxrelay.smtp.transaction import Transaction


class NoMemory(Exception):  # noqa: N818 - what came over us
    """The mails that are being received take all the memory that they may."""


class Transfer(Authentication):
    """A connection that takes contents."""

    _mail: Transaction | None = None
    _helo = ""
    _due = 0.0
    _receiving: Transaction | None = None
    """The mail whose content the next bytes are."""

    # --- DATA, RFC 5321 §4.1.1.4

    def smtp_DATA(self, argument: str | None) -> None:
        mail = self._mail
        if argument:
            self._fault(replies.SYNTAX_DATA)
        elif mail is None:
            self._say(replies.SEND_MAIL_FIRST)
        elif mail.chunked:
            self._say(replies.BDAT_BEGUN)
        elif not mail.recipients:
            self._say(replies.SEND_RCPT_FIRST)
        elif not mail.share.reserve(mail.size):
            self._short_of_memory()
            self._say(replies.NO_MEMORY)
        else:
            self._say(replies.START_DATA)
            self._begin_data(mail)

    def _begin_data(self, mail: Transaction) -> None:
        self._receiving = mail
        self._busy = True
        self._pace_begins()
        settings = self._settings
        early = self._lines.begin_content(int(settings.max_message_bytes), int(settings.max_line_bytes))
        if early:
            self._count(mail, early)

    def data_received(self, data: bytes) -> None:
        mail = self._receiving
        # A client that waits for each reply, as most do, sends one line or one content at a time: it need not go through the buffer.
        if self._working is None and not self._finished and not self._paused:
            if mail is not None:
                if self._take_alone(mail, data):
                    return
            elif (line := self._lines.only_line(data)) is not None:
                self._serve_alone(line)
                return
        if mail is not None:
            self._count(mail, len(data))
        self._lines.feed(data)
        self._pump()

    def _take_alone(self, mail: Transaction, data: bytes) -> bool:
        """Take a content that is here whole; False, and nothing done, where it is not, or must be looked at more closely."""
        try:
            content = self._lines.only_content(data)
        except Exception as error:  # noqa: BLE001 - the boundary, as in `_serve_next`
            self._end_data()
            self._start(self._lose_place(error))
            return True
        # Where there is no memory for it the long way finds the same, and says so.
        if content is None or not mail.share.arrived(len(data)):
            return False
        self._receiving = None
        self._deadline.clear()
        self._start(self._finish_whole(mail, content))
        return True

    def _count(self, mail: Transaction, size: int) -> None:
        try:
            self._arrived(mail, size)
        except NoMemory:
            self._end_data()
            self._start(self._cut_off(replies.NO_MEMORY))

    def _serve_next(self) -> bool:
        if self._receiving is None:
            return super()._serve_next()
        try:
            return self._take_data(self._receiving)
        except Exception as error:  # noqa: BLE001 - the boundary: a surprise of ours is temporary for the mail
            self._end_data()
            self._start(self._lose_place(error))
            return True

    async def _lose_place(self, error: Exception) -> None:
        """A surprise in the middle of a content: where it goes on is not known, and nothing that follows may be taken for a mail or a command."""
        self._report(error)
        await self._cut_off(replies.INTERNAL)

    def _take_data(self, mail: Transaction) -> bool:
        """Content instead of commands; False when it is not here whole."""
        try:
            content = self._lines.take_content()
        except TooLarge as over:
            self._metrics.limited("max_message_bytes")
            self._end_data()
            if over.ended:
                self._say(replies.TOO_LARGE)
            else:
                self._start(self._cut_off(replies.TOO_LARGE))
            return True
        if content is None:
            return False
        self._receiving = None
        # The client has done its part: how long joining and storing take is the relay's business.
        self._deadline.clear()
        refusal = self._refused_content(content)
        if refusal is None:
            self._start(self._finish(mail, content))
        else:
            self._end_data()
            self._say(refusal)
        return True

    def _refused_content(self, content: Content) -> Reply | None:
        if content.bare_line_feeds and self._settings.bare_line_feed == "reject":
            self._metrics.limited("bare_line_feed")
            return replies.BARE_LINE_FEED
        if content.line_too_long:
            self._metrics.limited("max_line_bytes")
            return replies.LINE_IN_MAIL_TOO_LONG
        return None

    async def _finish(self, mail: Transaction, content: Content) -> None:
        try:
            self._say(await self._admit(mail, content))
        finally:
            self._end_data()

    async def _finish_whole(self, mail: Transaction, content: bytes) -> None:
        """As `_finish`, where there is nothing to join."""
        try:
            self._say(await self._door.admission.admit(self._envelope(mail, content), content))
        finally:
            self._end_data()

    def _end_data(self) -> None:
        self._receiving = None
        self._lines.drop_content()
        self._busy = False
        self._forget_mail()

    async def _admit(self, mail: Transaction, content: Content) -> Reply:
        self._deadline.clear()
        data = await content.take(self._door.memory.copies)
        return await self._door.admission.admit(self._envelope(mail, data), data)

    def _envelope(self, mail: Transaction, content: bytes) -> Envelope:
        """For a content that is here whole."""
        self._metrics.received(len(content))
        if self._wire is not None:
            self._door.wire.client(self._wire, b"<%d bytes of content>" % len(content))
        standing = self._standing
        return mail.envelope(standing.client, standing.account, standing.confirm)

    # --- BDAT, RFC 3030

    def smtp_BDAT(self, argument: str | None) -> Work | None:
        """What follows the command is content even when the command is wrong, so it is always read."""
        chunk = read_chunk(argument)
        if chunk is None:
            self._hang_up(replies.SYNTAX_BDAT)
            return None
        count, last = chunk
        mail = self._mail
        refusal = self._refused_chunk(mail, count)
        if mail is None or refusal is not None:
            self._forget_mail()
            return self._discard(count, refusal or replies.SEND_MAIL_FIRST)
        mail.chunked = True
        return self._receive_chunk(mail, count, last=last)

    def _refused_chunk(self, mail: Transaction | None, count: int) -> Reply | None:
        if mail is None:
            return replies.SEND_MAIL_FIRST
        if not mail.recipients:
            return replies.SEND_RCPT_FIRST
        if mail.received + count > self._settings.max_message_bytes:
            self._metrics.limited("max_message_bytes")
            return replies.TOO_LARGE
        if not mail.chunked and not mail.share.reserve(mail.size):
            self._short_of_memory()
            return replies.NO_MEMORY
        return None

    async def _discard(self, count: int, reply: Reply) -> None:
        if count > self._settings.max_message_bytes:
            await self._cut_off(reply)
            return
        self._flush()
        self._pace_begins()
        await self._lines.octets(count, lambda piece: self._moved(len(piece)))
        self._say(reply)

    async def _receive_chunk(self, mail: Transaction, count: int, *, last: bool) -> None:
        """The transaction ends with its last chunk, or with trouble."""
        self._flush()
        self._busy = True
        self._pace_begins()
        ended = True
        try:
            if not await self._chunk_came(mail, count):
                return
            if last:
                self._say(await self._admit(mail, Content(mail.chunks)))
            else:
                self._say(Reply(250, "2.0.0", f"{count} octets received"))
            ended = last
        finally:
            self._busy = False
            if ended:
                self._forget_mail()

    async def _chunk_came(self, mail: Transaction, count: int) -> bool:
        """False when it did not come whole; the connection is then at its end."""
        try:
            await self._lines.octets(count, lambda piece: self._chunk_arrived(mail, piece))
        except NoMemory:
            await self._cut_off(replies.NO_MEMORY)
        except (Disconnected, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            await self._lose_place(error)
        else:
            return True
        return False

    def _chunk_arrived(self, mail: Transaction, piece: bytes) -> None:
        self._arrived(mail, len(piece))
        mail.take_chunk(piece)

    # --- pace and memory

    def _pace_begins(self) -> None:
        self._due = self.loop.time() + self._times.data
        self._expiry = replies.SLOW_DATA
        self._deadline.set_at(self._due)

    def _arrived(self, mail: Transaction, size: int) -> None:
        if not mail.share.arrived(size):
            self._short_of_memory()
            raise NoMemory
        self._moved(size)

    def _moved(self, size: int) -> None:
        """A transfer that goes on is never cut, one that drips is: each byte buys time at the slowest rate that is let through."""
        longest = self.loop.time() + self._times.data
        rate = self._settings.min_data_rate
        self._due = min(longest, self._due + size / rate) if rate else longest
        self._deadline.set_at(self._due)

    def _short_of_memory(self) -> None:
        self._metrics.limited("max_receiving_bytes")

    def _forget_mail(self) -> None:
        if self._mail is not None:
            self._mail.share.release()
            self._mail = None

    # --- who it is

    @property
    def _standing(self) -> Standing:
        now = self._standing_now
        if now is None:
            now = self._standing_now = self._stand()
        return now

    def _stand(self) -> Standing:
        user, settings = self._user, self._settings
        name = user.name if user is not None else None
        accept = (user.accept if user is not None else None) or settings.accept
        return Standing(
            client=Client(
                address=self._socket_peer[0],
                port=self._socket_peer[1],
                helo=self._helo,
                listener=settings.name,
                tls=self.tls_version,
                user=name,
            ),
            key=client_key(self._client_address, name),
            account=(user.account if user is not None else None) or settings.account or None,
            confirm=settings.confirm_timeout if accept == "confirm" else None,
            refusal=self._may_not_begin(),
        )

    def _may_not_begin(self) -> Reply | None:
        """Why no mail may begin now; None when it may."""
        if self._settings.tls_required and self.tls_version is None:
            return replies.TLS_FIRST
        if self._login_missing is not None:
            return self._login_missing
        vouched = self._user is not None and self._settings.auth == "optional"
        if self._door.allowed and not vouched and self._client_address not in self._door.allowed:
            return replies.NOT_ALLOWED
        return None
