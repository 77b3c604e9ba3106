"""Handing a mail to the relay over SMTP: to all of its recipients or to none, so that a program which tries again duplicates nothing.

In: an envelope and bytes. Out: the relay's reply. Never: a mail that some recipients get while the program hears of a failure.
"""

import os
import smtplib
from collections.abc import Sequence

_TIMEOUT_SECONDS = 600.0
"""RFC 5321 §4.5.3.2.6: the reply to the end of a mail may take ten minutes."""
_EX_NOUSER, _EX_NOPERM = os.EX_NOUSER, os.EX_NOPERM


class NotSent(Exception):  # noqa: N818 - what happened, in a program's words
    """The relay did not take the mail; `status` is one of sysexits(3)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def submit(server: tuple[str, int], sender: str, recipients: Sequence[str], content: bytes, *, notify: str) -> str:
    """The relay's last reply, which has the id. Raises `NotSent`."""
    shown = f"{server[0]}:{server[1]}"
    try:
        with smtplib.SMTP(*server, timeout=_TIMEOUT_SECONDS) as client:
            client.ehlo_or_helo_if_needed()
            return _transaction(client, sender, recipients, content, notify)
    except smtplib.SMTPResponseException as error:
        raise NotSent(_status(error.smtp_code, os.EX_UNAVAILABLE), _text(error.smtp_code, error.smtp_error)) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(os.EX_TEMPFAIL, f"the relay at {shown} cannot be reached: {error}") from error


def _transaction(client: smtplib.SMTP, sender: str, recipients: Sequence[str], content: bytes, notify: str) -> str:
    utf8 = not all(map(str.isascii, (sender, *recipients)))
    if utf8:
        client.command_encoding = "utf-8"
    options = [
        *(["SMTPUTF8"] if utf8 else []),
        *(["BODY=8BITMIME"] if client.has_extn("8bitmime") else []),
        *([f"SIZE={len(content)}"] if client.has_extn("size") else []),
    ]
    _expect(client.mail(sender, options), "sender", sender, _EX_NOPERM)
    for recipient in recipients:
        asked = [f"NOTIFY={notify}"] if notify and client.has_extn("dsn") else []
        _expect(client.rcpt(recipient, asked), "recipient", recipient, _EX_NOUSER)
    code, reply = client.data(content)
    _expect((code, reply), "mail", "", os.EX_UNAVAILABLE)
    return _text(code, reply)


def _expect(answer: tuple[int, bytes], what: str, who: str, permanent: int) -> None:
    code, reply = answer
    if code >= 300:
        raise NotSent(
            _status(code, permanent), f"the {what}{f' {who}' if who else ''} was refused: {_text(code, reply)}"
        )


def _status(code: int, permanent: int) -> int:
    return permanent if code >= 500 else os.EX_TEMPFAIL


def _text(code: int, reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return f"{code} {' '.join(text.split())}"
