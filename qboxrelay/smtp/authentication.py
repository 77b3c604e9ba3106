"""AUTH in a session, RFC 4954: when it may be, the exchange, and who the client is from then on.

In: the AUTH command and the lines that follow it. Out: `_user`, which holds until STARTTLS or the end. Never: a password in clear text where
the listener does not say so, a second login, mail without a login where one is required.
"""

import os

import structlog

from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.policy.login.result import LoggedIn, Unavailable, User
from qboxrelay.smtp import replies
from qboxrelay.smtp.auth import MAX_LINE_BYTES, ExchangeError, Prompt, new_challenge
from qboxrelay.smtp.connection import Connection
from qboxrelay.smtp.login import read_claim, reply_to
from qboxrelay.smtp.reader import LineTooLong
from qboxrelay.smtp.transaction import Transaction

log = structlog.get_logger()


class Authentication(Connection):
    """A connection whose client may say who it is."""

    _mail: Transaction | None = None
    _greeted = False
    _user: User | None = None
    _failed_logins = 0

    def _auth_extension(self) -> list[str]:
        """The line of EHLO; nothing where a login would be refused."""
        shown = self._settings.auth != "none" and self._door.logins is not None and self._may_send_password
        return ["AUTH " + " ".join(self._settings.auth_mechanisms)] if shown else []

    @property
    def _may_send_password(self) -> bool:
        return self._settings.auth_without_tls or self.tls_version is not None

    async def smtp_AUTH(self, argument: str | None) -> None:
        logins = self._door.logins
        refusal = self._refused_login()
        if refusal is not None or logins is None:
            self._fault(refusal or replies.AUTH_NOT_OFFERED)
            return
        try:
            claim = await read_claim(
                argument, mechanisms=self._settings.auth_mechanisms, challenge=self._challenge, ask=self._ask
            )
        except ExchangeError as error:
            self._fault(error.reply)
            return
        # How long a password takes is the relay's business: the client is not idle while it waits for the answer.
        self._deadline.clear()
        result = await logins.verify(claim, self._client_address)
        self._say(reply_to(result))
        if isinstance(result, LoggedIn):
            self._user = result.user
            self._standing_now = None
        elif not isinstance(result, Unavailable):
            self._count_failure(logins.max_failures_per_connection)

    def _count_failure(self, most: int) -> None:
        self._failed_logins += 1
        if self._failed_logins >= most:
            self._metrics.limited("max_failures_per_connection")
            self._ending = replies.TOO_MANY_LOGINS

    def _refused_login(self) -> Reply | None:
        """Why nobody may log in now; None when they may."""
        if self._settings.auth == "none":
            return replies.AUTH_NOT_OFFERED
        if not self._greeted:
            return replies.SEND_EHLO_FIRST
        if self._user is not None:
            return replies.AUTH_ALREADY
        if self._mail is not None:
            return replies.AUTH_IN_MAIL
        return None if self._may_send_password else replies.AUTH_IN_CLEAR

    def _challenge(self) -> bytes:
        return new_challenge(self._door.clock.now(), self.hostname, os.urandom)

    async def _ask(self, prompt: Prompt) -> bytes:
        self._say(Reply(334, "", prompt.text))
        self._flush()
        await self._writer.drain()
        self._limit_time(self._times.idle, replies.IDLE)
        try:
            line = await self._lines.line(MAX_LINE_BYTES)
        except LineTooLong:
            raise ExchangeError(replies.AUTH_LINE_TOO_LONG) from None
        if self._wire is not None:
            self._door.wire.client(self._wire, b"***")
        return line

    # --- what the login means for mail

    @property
    def _login_missing(self) -> Reply | None:
        """Why a client without a login may send nothing; None when it has one, or needs none."""
        if self._user is not None or self._settings.auth != "required":
            return None
        return replies.LOGIN_FIRST if self._may_send_password else replies.LOGIN_NEEDS_TLS

    def _refused_sender(self, sender: Address | None) -> Reply | None:
        """Why this user may not send from there; None when it may."""
        if self._user is None or self._door.logins is None:
            return None
        try:
            self._door.logins.senders.check_sender(self._user.name, sender)
        except Refusal as refusal:
            self._metrics.limited(refusal.rule)
            log.warning("sender.refused", rule=refusal.rule, user=self._user.name, sender=str(sender))
            return refusal.reply
        return None
