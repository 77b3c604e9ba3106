"""Handing one mail to a running relay, as an application on this machine would.

In: settings, a mail. Out: what was said at the door. Never: a password on a connection that nobody encrypted, unless the door is set to take
it there.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qboxrelay.cli.daemon import in_words

if TYPE_CHECKING:
    from qboxrelay.settings.schema import ListenerSettings, Settings

_SECONDS = 60.0
"""Longest wait for one reply; a door in confirm mode may take `confirm_timeout` more."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what listeners are set to, and where they are reached then
_ID = re.compile(r"\b(?:queued|sent) as (\S+)")


class NotAcceptedError(Exception):
    """The relay did not take the mail; the text says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail on its way to the door."""

    sender: str
    recipient: str
    content: bytes
    user: str = ""
    """A login; empty: none."""
    password: str = ""


def choose_door(settings: "Settings", name: str, *, with_login: bool) -> "ListenerSettings":
    """The named listener, or the first that an application here could use. Raises `NotAcceptedError`."""
    doors = [door for door in settings.listeners if not name or door.name == name]
    if not doors:
        names = ", ".join(door.name for door in settings.listeners)
        raise NotAcceptedError(f"there is no listener {name} in the configuration: the listeners are {names}")
    usable = [door for door in doors if not door.proxy_protocol]
    if not usable:
        raise NotAcceptedError(
            "every listener expects a PROXY header of a proxy (proxy_protocol): send through that proxy"
        )
    open_ones = [door for door in usable if (door.auth != "none" if with_login else door.auth != "required")]
    if not open_ones:
        wanted = (
            "takes no login: leave --user away" if with_login else "wants a login: name one of [[users]] with --user"
        )
        raise NotAcceptedError(f"the listener {usable[0].name} {wanted}")
    return open_ones[0]


def hand_in(settings: "Settings", door: "ListenerSettings", letter: Letter, tell: Callable[[str], None]) -> str:
    """Its transaction id, or empty where the reply names none. Raises `NotAcceptedError`."""
    host, port = _ANY.get(door.address.host, door.address.host), door.address.port
    try:
        with _connected(settings, door, host, port) as client:
            tell(f"connected to the listener {door.name} at {host} port {port}{_cipher(client)}")
            if letter.user:
                client.login(letter.user, letter.password)
                tell(f"logged in as {letter.user}")
            return _submitted(client, letter, tell)
    except smtplib.SMTPResponseException as error:
        raise NotAcceptedError(f"refused: {_words(error.smtp_code, error.smtp_error)}") from None
    except (smtplib.SMTPException, ssl.SSLError) as error:
        raise NotAcceptedError(f"the listener {door.name}: {error}") from None
    except OSError as error:
        text = (
            f"no connection to the listener {door.name} at {host} port {port}: {in_words(error)}; is the relay running?"
        )
        raise NotAcceptedError(text) from None


@contextmanager
def _connected(settings: "Settings", door: "ListenerSettings", host: str, port: int) -> Iterator[smtplib.SMTP]:
    seconds, name = _SECONDS + door.confirm_timeout.total_seconds(), socket.gethostname()
    if door.tls == "implicit":
        context = _context(settings)
        client: smtplib.SMTP = smtplib.SMTP_SSL(host, port, local_hostname=name, timeout=seconds, context=context)
    else:
        client = smtplib.SMTP(host, port, local_hostname=name, timeout=seconds)
    with client:
        client.ehlo()
        if door.tls == "starttls":
            client.starttls(context=_context(settings))
            client.ehlo()
        yield client


def _context(settings: "Settings") -> ssl.SSLContext:
    """Trusts the relay's own certificate and no other; names are not compared, for this is a loopback address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(settings.tls.certificate_file)
    return context


def _submitted(client: smtplib.SMTP, letter: Letter, tell: Callable[[str], None]) -> str:
    wide = not f"{letter.sender}{letter.recipient}".isascii()
    if wide and not client.has_extn("smtputf8"):
        raise NotAcceptedError("this listener takes ASCII addresses only: it does not offer SMTPUTF8")
    client.command_encoding = "utf-8" if wide else "ascii"
    _require(client.mail(letter.sender, ["SMTPUTF8"] if wide else []), "sender")
    _require(client.rcpt(letter.recipient), "recipient")
    code, text = client.data(letter.content)
    _require((code, text), "mail")
    tell(f"accepted: {_words(code, text)}")
    found = _ID.search(text.decode(errors="replace"))
    return found[1] if found else ""


def _require(reply: tuple[int, bytes], what: str) -> None:
    if not 200 <= reply[0] < 300:
        raise NotAcceptedError(f"the {what} was refused: {_words(*reply)}")


def _words(code: int, text: bytes | str) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}"


def _cipher(client: smtplib.SMTP) -> str:
    return f", {client.sock.version()}" if isinstance(client.sock, ssl.SSLSocket) else ""
