"""The value types of the settings: durations, sizes, secrets, socket addresses.

In: what TOML can say ("30s", "50 MB"). Out: timedelta, int, `Secret`, `SocketAddress`, networks. Never: a unit that has to be guessed.
"""

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from qboxrelay.settings.typed import BeforeValidator, ByteSize, Model

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|min|[smhdw])", re.IGNORECASE)
_LONGEST = 100 * 365 * 86400
"""A century: far from what dates can hold, so that a time plus a duration is always a time."""
_SIZE = re.compile(r"\s*[0-9]+(?:\.[0-9]+)?\s*(?:[KMGTP]i?)?B?\s*", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")


class Section(Model):
    """One table of the configuration: frozen, every key known, a docstring under each field."""


def parse_duration(value: object) -> timedelta:
    """Read `"30s"`, `"1h 30m"`, `"250ms"` or a timedelta; a bare number is refused, because its unit would be a guess."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and value.strip():
        rest = _DURATION.sub("", value).strip()
        seconds = sum(float(n) * _UNITS[unit.lower()] for n, unit in _DURATION.findall(value))
        if (not rest or value.strip() == "0") and seconds <= _LONGEST:
            return timedelta(seconds=seconds)
    if type(value) is int and value == 0:
        return timedelta()
    raise ValueError('a duration is a number with a unit, such as "30s", "5m", "2h" or "7d"')


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: `5m`, `1500ms`."""
    milliseconds = round(value.total_seconds() * 1000)
    for unit in ("d", "h", "m", "s"):
        size = int(_UNITS[unit] * 1000)
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


class Secret:
    """A token or password. It prints as `***`; `reveal()` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not to be pickled")


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """`host:port`, `[v6]:port`; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_socket_address(value: object) -> SocketAddress:
    if isinstance(value, SocketAddress):
        return value
    if isinstance(value, str):
        host, _, port = value.strip().rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        bracketed = host != bare
        if _HOST.fullmatch(bare) and bracketed == (":" in bare) and _is_port(port):
            return SocketAddress(bare, int(port))
    raise ValueError('an address is "host:port", such as "127.0.0.1:25", or "[::1]:25" for IPv6')


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= 65535


def parse_optional_address(value: object) -> SocketAddress | None:
    """`""` is how TOML, which has no null, says that there is no address."""
    if value is None or value == "":
        return None
    return parse_socket_address(value)


def parse_size(value: object) -> object:
    """Let through what `ByteSize` reads as it is meant: a whole number of bytes or text with a unit."""
    if (type(value) is int and value >= 0) or isinstance(value, ByteSize):
        return value
    if isinstance(value, str) and _SIZE.fullmatch(value):
        return value
    raise ValueError('a size is a number with a unit, such as "50MB" or "16MiB"')


def parse_network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read `192.0.2.0/24`, `2001:db8::/32` or a single address; bits behind the prefix are refused, because they are a slip."""
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    if isinstance(value, str):
        try:
            return ipaddress.ip_network(value.strip())
        except ValueError:
            pass
    raise ValueError('a network is "192.0.2.0/24", "2001:db8::/32" or a single address, with nothing behind the prefix')


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Address = Annotated[SocketAddress, BeforeValidator(parse_socket_address)]
OptionalAddress = Annotated[SocketAddress | None, BeforeValidator(parse_optional_address)]
Size = Annotated[ByteSize, BeforeValidator(parse_size)]
Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(parse_network)]
