"""What a client says to prove who it is.

In: what a SASL exchange gathered. Out: a `Claim`. Never: a password that prints.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordClaim:
    """PLAIN (RFC 4616) and LOGIN: a name and a password in clear text, as the bytes that were sent."""

    mechanism: str
    user: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CramMd5Claim:
    """CRAM-MD5 (RFC 2195): a name, and the keyed digest of our challenge in hexadecimal."""

    user: bytes
    challenge: bytes
    digest: bytes = field(repr=False)
    mechanism: str = "CRAM-MD5"


Claim = PasswordClaim | CramMd5Claim
