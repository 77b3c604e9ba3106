"""SASL exchanges (RFC 4422) as SMTP carries them (RFC 4954): PLAIN, LOGIN, CRAM-MD5.

In: the mechanism's name, the client's responses as base64. Out: prompts, then a `Claim`; `ExchangeError` with the reply for what is no
response. Never: a socket, or a judgement about the claim.

A mechanism is a generator: it yields what the server says, is sent what the client answers, and returns the claim. Passwords are bytes as
they were sent: a client that speaks Latin-1 sends other bytes than one that speaks UTF-8, and SASLprep (RFC 4013) would mend only some of it.
"""

import base64
import binascii
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime

from qboxrelay.model.ids import RandomBytes
from qboxrelay.model.reply import Reply
from qboxrelay.policy.login.claim import Claim, CramMd5Claim, PasswordClaim
from qboxrelay.smtp import replies

MAX_LINE_BYTES = 12_288
"""RFC 4954 §4.: what a line of an exchange, and the AUTH command with it, may have."""

_BASE64 = re.compile(rb"([A-Za-z0-9+/]*)(={0,2})")
_DIGEST = re.compile(rb"[0-9A-Fa-f]{32}")

Steps = Generator[bytes, bytes, Claim]


class ExchangeError(Exception):
    """The exchange is over without a claim. `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to send behind 334, in base64."""

    text: str


class Exchange:
    """One exchange, from the AUTH command to the claim."""

    def __init__(self, mechanism: str, challenge: Callable[[], bytes]) -> None:
        """`challenge` makes what CRAM-MD5 begins with. Raises `ExchangeError` for a mechanism that is none."""
        self._speaks_first = mechanism == "CRAM-MD5"
        match mechanism:
            case "PLAIN":
                self._steps = _plain()
            case "LOGIN":
                self._steps = _login()
            case "CRAM-MD5":
                self._steps = _cram_md5(challenge())
            case _:
                raise ExchangeError(replies.AUTH_MECHANISM)

    def begin(self, initial: str | None) -> Prompt | Claim:
        """`initial` is the response that stood in the AUTH command; None without one. Raises `ExchangeError`."""
        first = next(self._steps)
        if initial is None:
            return _prompt(first)
        if self._speaks_first:
            # RFC 4954 §4: there is nothing yet that it could answer.
            raise ExchangeError(replies.AUTH_NO_INITIAL)
        return self._send(b"" if initial == "=" else _decoded(initial.encode("utf-8", "surrogateescape")))

    def answer(self, line: bytes) -> Prompt | Claim:
        """Take the client's next line, without its end. Raises `ExchangeError`."""
        if line.strip() == b"*":
            raise ExchangeError(replies.AUTH_CANCELLED)
        return self._send(_decoded(line.strip()))

    def _send(self, response: bytes) -> Prompt | Claim:
        try:
            return _prompt(self._steps.send(response))
        except StopIteration as finished:
            claim: Claim = finished.value
            return claim


def _plain() -> Steps:
    """RFC 4616: [authzid] NUL authcid NUL passwd."""
    fields = (yield b"").split(b"\0")
    if len(fields) != 3:
        raise ExchangeError(replies.AUTH_MALFORMED)
    on_behalf_of, user, password = fields
    if on_behalf_of not in (b"", user):
        raise ExchangeError(replies.AUTH_ON_BEHALF)
    return PasswordClaim(mechanism="PLAIN", user=user, password=password)


def _login() -> Steps:
    """As draft-murchison-sasl-login says; Go's and other clients look for just these prompts."""
    user = yield b"Username:"
    password = yield b"Password:"
    return PasswordClaim(mechanism="LOGIN", user=user, password=password)


def _cram_md5(challenge: bytes) -> Steps:
    """RFC 2195: the name, a blank, the digest."""
    user, blank, digest = (yield challenge).rpartition(b" ")
    if not blank or not _DIGEST.fullmatch(digest):
        raise ExchangeError(replies.AUTH_MALFORMED)
    return CramMd5Claim(user=user, challenge=challenge, digest=digest)


def new_challenge(now: datetime, hostname: str, random_bytes: RandomBytes) -> bytes:
    """What CRAM-MD5 begins with: never the same twice, in the form of a message id (RFC 2195 §2)."""
    return f"<{random_bytes(16).hex()}.{int(now.timestamp())}@{hostname}>".encode("ascii", "replace")


def _prompt(text: bytes) -> Prompt:
    return Prompt(base64.b64encode(text).decode())


def _decoded(text: bytes) -> bytes:
    """Base64 in the one alphabet of RFC 4648 §4. Padding may be missing, as printers forget it: what is meant is clear without it."""
    found = _BASE64.fullmatch(text)
    if found is None or len(found[1]) % 4 == 1 or len(found[2]) > -len(found[1]) % 4:
        raise ExchangeError(replies.AUTH_BASE64)
    return binascii.a2b_base64(found[1] + b"=" * (-len(found[1]) % 4))
