"""Values as people read them on the page.

In: times, sizes, texts that came with mail. Out: short texts. Never: an address in the clear where `[log]` says otherwise; a character that
would turn the text around or hide a part of it.
"""

from datetime import UTC, datetime, timedelta

from qboxrelay.settings.schema import LogSettings
from qboxrelay.telemetry.masking import Masking

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def span(seconds: float | timedelta) -> str:
    """`0.25 s`, `42 s`, `3 min`, `2 d`."""
    length = max(0.0, seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    for size, unit in _UNITS:
        if length >= 2 * size:
            return f"{round(length / size)} {unit}"
    if length < 0.0005:
        return "0 s"
    return f"{length * 1000:.3g} ms" if length < 1 else f"{length:.3g} s" if length < 10 else f"{round(length)} s"


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(octets: float) -> str:
    for unit, name in _SIZES:
        if octets >= unit:
            return f"{octets / unit:.1f} {name}"
    return "1 byte" if octets == 1 else f"{octets:.0f} bytes"


def count(value: float) -> str:
    """With thin spaces between thousands; small numbers with what is behind the point."""
    if abs(value) >= 100 or value == int(value):
        return f"{round(value):,}".replace(",", "\u202f")
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 else f"{value:.2g}"


def plain(text: object) -> str:
    """Control and format characters, such as those that reverse the direction of writing, become U+FFFD."""
    return "".join(one if one.isprintable() else " " if one in "\r\n\t" else "\ufffd" for one in str(text))


def clause(text: str) -> str:
    """A sentence of others, to go on behind it."""
    return text.rstrip(". ")


class Discretion:
    """What the page shows of addresses and subjects: no more than the log."""

    def __init__(self, settings: LogSettings) -> None:
        self._masking = Masking(addresses=settings.addresses, subjects=settings.subjects)

    def address(self, address: str) -> str:
        return plain(self._masking({"address": address})["address"]) or "<>"

    def text(self, text: object) -> str:
        """Words of the API or of an operator, which may name addresses."""
        return plain(self._masking({"text": str(text)})["text"])

    def subject(self, subject: str) -> str:
        """Empty where subjects are not shown."""
        return plain(self._masking({"subject": subject}).get("subject", ""))
