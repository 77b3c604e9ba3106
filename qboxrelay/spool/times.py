"""Times as the databases keep them: milliseconds since 1970, UTC.

In: aware datetimes. Out: integers, and back. Never: a local time.
"""

from datetime import UTC, datetime


def to_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
