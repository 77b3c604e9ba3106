"""Telling people of mail that failed or is late, through the same spool.

In: the marks that recording leaves in the spool. Out: notices, each stored by the commit that takes its marks away: a crash neither loses
nor doubles one. Never: more notices to one address in an hour than are allowed; the last of them is a digest of all the rest.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from qboxrelay.dispatch.notice import Author
from qboxrelay.dispatch.notice_text import Report, Told
from qboxrelay.dispatch.notice_wanted import Wanted
from qboxrelay.dispatch.wait import first_of
from qboxrelay.model.clock import Clock
from qboxrelay.model.dsn import read_asked
from qboxrelay.model.ids import new_id
from qboxrelay.model.submission import Claimed, NoticeKind, Submission
from qboxrelay.spool.port import Result, Spool, SpoolError, Untold
from qboxrelay.telemetry.metrics_dispatch import NoticeMetrics

log = structlog.get_logger()

_HOUR = timedelta(hours=1)
_AT_ONCE = 2000
"""Submissions that one look at an address tells of."""
_SOON = timedelta(seconds=1)
_AFTER_TROUBLE = timedelta(seconds=10)
_LOOK_AGAIN = timedelta(minutes=5)
_SHOWN = 10


class Notices:
    """One for all accounts. `mark` and `wake` are for who records; `run` until `stop`."""

    def __init__(
        self, *, spool: Spool, author: Author, clock: Clock, metrics: NoticeMetrics, gather: timedelta = _SOON
    ) -> None:
        """`gather`: how long to wait for others that fail together with the first."""
        self._spool = spool
        self._author = author
        self._clock = clock
        self._metrics = metrics
        self._gather = gather
        self._wanted = Wanted(author.settings)
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()

    def mark(self, submission: Claimed, result: Result, now: datetime) -> Result:
        """The result as it is to be recorded."""
        marked, silence = self._wanted.mark(submission, result, now)
        if silence is not None:
            self._metrics.told(NoticeKind.FAILURE, silence)
            log.info("notice.skipped", submission=submission.id, reason=silence)
        return marked

    def wake(self) -> None:
        """Something that was marked is recorded."""
        self._woken.set()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            wait = await self._look()
            await first_of(self._woken.wait(), self._clock.sleep(wait), self._stopping.wait())
            await first_of(self._clock.sleep(self._gather), self._stopping.wait())

    async def _look(self) -> timedelta:
        """Tell what may be told now. How long until there may be more to tell."""
        try:
            waits = [await self._tell_apart(address) for address in await self._spool.addressees()]
        except SpoolError as error:
            log.error("notice.postponed", error=str(error))  # noqa: TRY400 - the spool's own words say it all
            return _AFTER_TROUBLE
        except Exception:
            log.exception("notice.crashed", hint="what is to be told stays marked in the spool")
            return _AFTER_TROUBLE
        return min([_LOOK_AGAIN, *waits])

    async def _tell_apart(self, address: str) -> timedelta:
        """A surprise about one address keeps nobody else from being told."""
        try:
            return await self._tell(address)
        except SpoolError:
            raise
        except Exception:
            log.exception("notice.crashed", hint="what is to be told stays marked in the spool", recipient=address)
            return _AFTER_TROUBLE

    async def _tell(self, address: str) -> timedelta:
        now, most = self._clock.now(), self._author.settings.max_per_hour
        latest = await self._spool.notices_since(address, now - _HOUR, limit=most)
        room = most - len(latest)
        if room <= 0:
            return latest[0] + _HOUR - now
        entries = await self._spool.untold(address, limit=_AT_ONCE)
        reports, silent = _reports(entries)
        if silent:
            await self._spool.tell(address, silent, None)
            self._metrics.told(NoticeKind.FAILURE, "never", len(silent))
        alone = reports if len(reports) <= room else reports[: room - 1]
        rest = reports[len(alone) :]
        done = [await self._about_one(address, report, now) for report in alone]
        if rest:
            done.append(await self._about_many(address, rest, now))
        return _LOOK_AGAIN if all(done) and len(entries) < _AT_ONCE else _SOON

    async def _about_one(self, address: str, report: Report, now: datetime) -> bool:
        notice = self._author.about_one(report, address, new_id(now), now)
        return await self._store(address, [report], notice, report.kind.value)

    async def _about_many(self, address: str, reports: Sequence[Report], now: datetime) -> bool:
        notice = self._author.about_many(reports, address, new_id(now), now)
        return await self._store(address, reports, notice, "digest")

    async def _store(self, address: str, reports: Sequence[Report], notice: Submission, kind: str) -> bool:
        told = [part.entry for report in reports for part in report.parts]
        if not await self._spool.tell(address, told, notice):
            return False
        self._metrics.told(kind, "queued")
        log.info(
            "notice.queued",
            submission=notice.id,
            kind=kind,
            recipient=address,
            account=notice.account,
            mails=len(reports),
            about=[report.first.transaction_id for report in reports[:_SHOWN]],
        )
        return True


def _reports(entries: Sequence[Untold]) -> tuple[list[Report], list[Untold]]:
    """One report for each mail and kind, in order; and what nobody wants to hear of."""
    found: dict[tuple[str, NoticeKind], list[Told]] = {}
    silent = []
    for entry in entries:
        asked = read_asked(entry.dsn)
        recipients = tuple(recipient for recipient in entry.recipients if asked.wants(recipient, entry.notice))
        if recipients:
            told = Told(entry=entry, asked=asked, recipients=recipients)
            found.setdefault((entry.transaction_id, entry.notice), []).append(told)
        else:
            silent.append(entry)
    return [Report(kind=kind, parts=tuple(parts)) for (_, kind), parts in found.items()], silent
