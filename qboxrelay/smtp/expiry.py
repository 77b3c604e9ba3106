"""Until when a certificate is valid (RFC 5280 §4.1.2.5).

In: PEM. Out: a time, or None. Never: a judgement of anything else in it; Python's own parser of certificates is not public.
"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def not_after(pem: str) -> datetime | None:
    """Of the first certificate, which is the one that is shown; None where there is none that can be read."""
    begin = pem.find(_BEGIN)
    end = pem.find(_END, begin)
    if begin < 0 or end < 0:
        return None
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(pem[begin : end + len(_END)]))
    except (ValueError, LookupError, StopIteration):
        return None


def _not_after(der: bytes) -> datetime:
    _, certificate = next(_elements(der))
    _, signed = next(_elements(certificate))
    fields = [(tag, value) for tag, value in _elements(signed) if tag != _VERSION]
    # Serial number, signature algorithm, issuer, validity.
    tag, validity = fields[3]
    if tag != _SEQUENCE:
        raise ValueError("no validity where it belongs")
    (_, _), (kind, text) = _elements(validity)
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}[kind]
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of what stands one behind the other (X.690, DER)."""
    at = 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            octets = size & 0x7F
            size, at = int.from_bytes(data[at : at + octets], "big"), at + octets
        yield tag, data[at : at + size]
        at += size
