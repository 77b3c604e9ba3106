"""What a worker has of main, in the form that the rest of a relay knows it: a spool, verdicts, the suppression list.

In: calls. Out: questions on the channel, their answers. Never: a place where mail is kept.
"""

from collections.abc import Sequence
from datetime import timedelta

import orjson

from qboxrelay.model.sender_domain import ManagementFailure
from qboxrelay.model.submission import Submission
from qboxrelay.spool.confirmations import Verdict
from qboxrelay.spool.port import Fact, SpoolError
from qboxrelay.workers.channel import Channel, ChannelClosed, Kind, Refused
from qboxrelay.workers.words import error_from_bytes, put_as_bytes, verdicts_from_bytes

_GONE = "the process that keeps the mail is gone"


class RemoteVerdicts:
    """`Confirmations` of main. It alone says when the time is over: it may have promised somebody that the session tells."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.expected: set[str] = set()

    def expect(self, ids: Sequence[str]) -> None:
        """Main begins to listen when the submissions are handed over."""
        self.expected.update(ids)

    async def wait(self, ids: Sequence[str], longest: timedelta) -> list[Verdict] | None:
        try:
            body = await self._channel.ask(Kind.WAIT, orjson.dumps((ids, longest.total_seconds())))
        except (ChannelClosed, Refused):
            return None
        return verdicts_from_bytes(body)

    def forget(self, ids: Sequence[str]) -> None:
        self.expected.difference_update(ids)
        self._channel.news(Kind.FORGET, orjson.dumps(ids))


class RemoteSpool:
    """The spool of main, as far as a worker needs it."""

    def __init__(self, channel: Channel, verdicts: RemoteVerdicts) -> None:
        self._channel = channel
        self._verdicts = verdicts

    async def put(self, submissions: Sequence[Submission]) -> None:
        """Durable when it returns. Raises `SpoolError`; when main is gone, the mail may be safe all the same."""
        awaited = not self._verdicts.expected.isdisjoint(one.id for one in submissions)
        try:
            await self._channel.ask(Kind.PUT, put_as_bytes(submissions, awaited=awaited))
        except Refused as refused:
            raise error_from_bytes(refused.body) from None
        except ChannelClosed:
            raise SpoolError(_GONE) from None


class RemoteList:
    """The suppression list, which main asks for."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def holds(self, address: str) -> bool:
        """Raises `ManagementFailure`."""
        try:
            return bool(orjson.loads(await self._channel.ask(Kind.SUPPRESSED, orjson.dumps(address))))
        except Refused as refused:
            raise ManagementFailure(*orjson.loads(refused.body)) from None
        except ChannelClosed:
            raise ManagementFailure("gone", _GONE) from None


class NoStore:
    """Facts are main's to keep."""

    async def remember(self, _name: str, _value: bytes) -> None:
        return

    async def recall(self, _name: str, *, after: int = 0) -> Fact | None:  # noqa: ARG002 - the port's words
        return None
