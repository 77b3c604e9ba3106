"""PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who the client behind a proxy is.

In: the first bytes of a connection from a trusted proxy. Out: the client's address and port. Never: a byte read beyond the header,
because TLS may follow it; a guess, when the header is not one.
"""

import ipaddress
import struct
from collections.abc import Awaitable, Callable

Peer = tuple[str, int]
"""Textual IP address and port."""

Exactly = Callable[[int], Awaitable[bytes]]
"""Reads exactly so many bytes, or raises EOFError."""

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LONGEST_V1 = 107
_LONGEST_V2 = 4096
"""Addresses take 36 bytes; the rest are type-length-values that nothing here needs. The format allows 65,535."""
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


class ProxyError(Exception):
    """What came is not a PROXY header. The text is for the log and holds nothing that was received."""


async def read_proxy_header(read: Exactly) -> Peer | None:
    """The client that the proxy names; None when it speaks for itself (a health check). Raises `ProxyError`, `EOFError`."""
    start = await read(len(_SIGNATURE))
    if start == _SIGNATURE:
        return await _version_2(read)
    if start.startswith(b"PROXY "):
        return await _version_1(start, read)
    raise ProxyError("the connection does not begin with a PROXY header")


async def _version_1(start: bytes, read: Exactly) -> Peer | None:
    line = start
    while not line.endswith(b"\n"):
        if len(line) >= _LONGEST_V1:
            raise ProxyError("a PROXY header of version 1 without an end")
        line += await read(1)
    words = line.decode("ascii", "replace").removesuffix("\r\n").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        raise ProxyError("a PROXY header of version 1 that cannot be read")
    return _peer(words[2], words[4], version=4 if words[1] == "TCP4" else 6)


def _peer(address: str, port: str, *, version: int) -> Peer:
    try:
        parsed = ipaddress.ip_address(address)
        number = int(port) if port.isascii() and port.isdecimal() else -1
    except ValueError:
        raise ProxyError("a PROXY header with an address that is none") from None
    if parsed.version != version or not 0 <= number <= 65535:
        raise ProxyError("a PROXY header with an address or a port that is none")
    return str(parsed), number


async def _version_2(read: Exactly) -> Peer | None:
    command, family, length = struct.unpack("!BBH", await read(4))
    if length > _LONGEST_V2:
        raise ProxyError("a PROXY header of version 2 that is too long")
    rest = await read(length) if length else b""
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise ProxyError("a PROXY header of an unknown version or command")
    size = {_TCP4: 4, _TCP6: 16}.get(family)
    if size is None:
        # A family without addresses, such as UNSPEC: the receiver uses the connection's own (§2.2).
        return None
    if len(rest) < 2 * size + 4:
        raise ProxyError("a PROXY header of version 2 that ends early")
    address = ipaddress.ip_address(rest[:size])
    return str(address), struct.unpack_from("!H", rest, 2 * size)[0]
