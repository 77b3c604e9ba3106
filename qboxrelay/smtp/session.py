"""One SMTP session: the commands of RFC 5321 and its extensions, over one connection.

In: command lines and contents. Out: replies; an `Envelope` and its content for admission. Never: a decision about the mail itself,
a mail that is stored half, a cancelled commit.
"""

from qboxrelay.model.address import Address
from qboxrelay.model.ids import new_id
from qboxrelay.model.reply import Reply
from qboxrelay.smtp import replies
from qboxrelay.smtp.connection import Work
from qboxrelay.smtp.limits import Share
from qboxrelay.smtp.parameters import refused_parameter
from qboxrelay.smtp.paths import Path, PathError, read_path
from qboxrelay.smtp.transaction import Transaction
from qboxrelay.smtp.transfer import Transfer

_DSN = {"NOTIFY", "ORCPT"}
"""Parameters of RCPT, RFC 3461 §4."""


class Session(Transfer):
    """One connection's dialogue."""

    _mails = 0

    # --- greeting, RFC 5321 §4.1.1.1

    def smtp_HELO(self, hostname: str | None) -> None:
        self._greet(hostname)
        self._say(Reply(250, "", self.hostname))

    def smtp_EHLO(self, hostname: str | None) -> None:
        self._greet(hostname)
        self._say_lines(250, [self.hostname, *self._extensions()])

    def _extensions(self) -> list[str]:
        return [
            "PIPELINING",
            f"SIZE {int(self._settings.max_message_bytes)}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "DSN",
            *(["STARTTLS"] if self._may_start_tls else []),
            *self._auth_extension(),
            f"LIMITS RCPTMAX={self._settings.max_recipients}",
        ]

    def _greet(self, hostname: str | None) -> None:
        # Devices send no name, or an odd one; refusing mail for it helps nobody (RFC 5321 §4.1.4).
        self._helo = (hostname or "").encode("ascii", "replace").decode()[:255]
        self._greeted = True
        self._standing_now = None
        self._forget_mail()

    # --- TLS, RFC 3207

    @property
    def _may_start_tls(self) -> bool:
        return self._settings.tls == "starttls" and self._door.tls is not None and self.tls_version is None

    def smtp_STARTTLS(self, argument: str | None) -> Work | None:
        if argument:
            self._fault(replies.SYNTAX_STARTTLS)
        elif self.tls_version is not None:
            self._say(replies.TLS_ALREADY)
        elif not self._may_start_tls:
            self._say(replies.TLS_NOT_OFFERED)
        elif self._mail is not None:
            self._say(replies.TLS_IN_MAIL)
        else:
            # What was said in clear text does not count (RFC 3207 §4.2).
            self._helo, self._greeted, self._user = "", False, None
            self._say(replies.START_TLS)
            return self._start_tls()
        return None

    # --- small commands

    def smtp_NOOP(self, _argument: str | None) -> None:
        self._say(replies.OK)

    def smtp_RSET(self, _argument: str | None) -> None:
        self._forget_mail()
        self._say(replies.OK)

    def smtp_QUIT(self, _argument: str | None) -> None:
        self._hang_up(replies.BYE)

    def smtp_VRFY(self, _argument: str | None) -> None:
        self._say(replies.CANNOT_VERIFY)

    def smtp_EXPN(self, _argument: str | None) -> None:  # type: ignore[override] # a command that takes no time needs no task
        self._say(replies.NOT_IMPLEMENTED)

    def smtp_HELP(self, _argument: str | None) -> None:
        self._say(replies.HELP)

    # --- a mail transaction, RFC 5321 §3.3

    def smtp_MAIL(self, argument: str | None) -> Work | None:
        refusal = replies.NESTED_MAIL if self._mail is not None else self._standing.refusal
        if refusal is not None:
            self._say(refusal)
            return None
        path = self._path("FROM", argument, replies.SYNTAX_MAIL, replies.BAD_SENDER)
        if path is None:
            return None
        if path.parameters:
            refusal = refused_parameter(path.parameters, int(self._settings.max_message_bytes))
        refusal = refusal or self._refused_sender(path.address)
        if refusal is None and self._door.admission.judges_senders:
            return self._judged(path)
        self._begin_mail(path, refusal)
        return None

    async def _judged(self, path: Path) -> None:
        self._begin_mail(path, await self._door.admission.refused_sender(path.address))

    def _begin_mail(self, path: Path, refusal: Reply | None) -> None:
        refusal = refusal or self._counted()
        if refusal is not None:
            self._answer(refusal)
            return
        now = self._door.clock.now()
        self._mail = Transaction(
            id=new_id(now),
            received_at=now,
            sender=path.address,
            share=Share(self._door.memory),
            size=int(path.parameters.get("SIZE") or 0),
            smtputf8="SMTPUTF8" in path.parameters,
            envid=path.parameters.get("ENVID"),
        )
        self._say(replies.SENDER_OK)

    def _counted(self) -> Reply | None:
        """Count one more mail; why that is too many, or None."""
        most = self._settings.max_messages_per_connection
        if most and self._mails >= most:
            self._metrics.limited("max_messages_per_connection")
            return replies.MAILS_PER_CONNECTION
        if self._door.messages.limit and not self._door.messages.allow(self._standing.key):
            self._metrics.limited("max_messages_per_minute")
            return replies.TOO_MANY_MAILS
        self._mails += 1
        return None

    def smtp_RCPT(self, argument: str | None) -> Work | None:
        mail = self._mail
        if mail is None or mail.chunked:
            self._say(replies.SEND_MAIL_FIRST if mail is None else replies.BDAT_BEGUN)
            return None
        path = self._path("TO", argument, replies.SYNTAX_RCPT, replies.BAD_RECIPIENT)
        if path is None:
            return None
        if path.address is None or not path.parameters.keys() <= _DSN:
            self._fault(replies.BAD_RECIPIENT if path.address is None else replies.BAD_PARAMETER)
            return None
        refusal = self._one_too_many(mail, path.address)
        if refusal is None and self._door.admission.judges_recipients:
            return self._judge_recipient(mail, path.address, path.parameters)
        self._add_recipient(mail, path.address, path.parameters, refusal)
        return None

    async def _judge_recipient(self, mail: Transaction, address: Address, parameters: dict[str, str]) -> None:
        self._add_recipient(mail, address, parameters, await self._door.admission.refused_recipient(address))

    def _add_recipient(
        self, mail: Transaction, address: Address, parameters: dict[str, str], refusal: Reply | None
    ) -> None:
        if refusal is None:
            mail.add(address, parameters)
        self._say(refusal or replies.RECIPIENT_OK)

    def _one_too_many(self, mail: Transaction, address: Address) -> Reply | None:
        if mail.recipients and address.exact_key in mail.recipients:
            return None
        if len(mail.recipients) >= self._settings.max_recipients:
            self._metrics.limited("max_recipients")
            return replies.TOO_MANY_RECIPIENTS
        if self._door.recipients.limit and not self._door.recipients.allow(self._standing.key):
            self._metrics.limited("max_recipients_per_minute")
            return replies.TOO_MANY_RECIPIENTS_PER_MINUTE
        return None

    def _path(self, keyword: str, argument: str | None, syntax: Reply, bad: Reply) -> Path | None:
        try:
            return read_path(keyword, argument)
        except PathError as error:
            self._fault(bad if str(error) == "address" else syntax)
            return None


Session._commands = {  # noqa: SLF001 - made once, of all that the class can do
    name.removeprefix("smtp_").encode(): (name.removeprefix("smtp_"), getattr(Session, name))
    for name in dir(Session)
    if name.startswith("smtp_")
}
