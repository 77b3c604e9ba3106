"""The work of `qboxrelay spool copy`.

In: two spools by name. Out: what was moved, progress on standard error, an exit status. Never: a spool made by a look; a password on the terminal.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.plain import plain, to_json

if TYPE_CHECKING:
    from qboxrelay.model.submission import State
    from qboxrelay.settings.schema import Settings
    from qboxrelay.spool.move import Moved
    from qboxrelay.spool.parcels import Parcels, Survey

_SCHEMES = ("sqlite:", "postgresql:", "postgres:")
_CUT_OFF = "FROM stays paused, because part of its mail is in TO: run the same again to go on; to give up, move it back, and: qboxrelay queue resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What was asked for. `source` and `target` are URLs or configuration files."""

    source: str
    target: str
    with_trail: bool
    dry_run: bool
    as_json: bool


def copied(job: Copy) -> int:
    from qboxrelay.spool import backend
    from qboxrelay.spool.move import SAME, CutOff
    from qboxrelay.spool.port import SpoolError

    source, target = _settings(job.source), _settings(job.target)
    if backend.place_of(source) == backend.place_of(target):
        return fail(SAME)
    try:
        if job.dry_run:
            _show_survey(job, asyncio.run(backend.survey(source, now=datetime.now(UTC))))
        else:
            _show_moved(job, asyncio.run(_move(job, source, target)))
    except CutOff as cut:
        return fail(f"{cut}. {_CUT_OFF}")
    except (SpoolError, OSError) as error:
        return fail(str(error))
    return 0


def _settings(named: str) -> "Settings":
    """Raises `typer.Exit` after what is wrong with a configuration was printed."""
    from qboxrelay.cli.configuration import load_for_look
    from qboxrelay.settings.schema import Settings, SpoolSettings

    if named.startswith(_SCHEMES):
        return Settings(spool=SpoolSettings(url=named))
    return load_for_look(Path(named)).settings


async def _move(job: Copy, source: "Settings", target: "Settings") -> "Moved":
    from qboxrelay.spool import backend

    now = datetime.now(UTC)
    giving = await backend.open_parcels(source, now=now, make=False)
    try:
        taking = await backend.open_parcels(target, now=now, make=True)
        try:
            return await _with_progress(job, giving, taking, expired_into=_expired_into(job, source, target))
        finally:
            await taking.close()
    finally:
        await giving.close()


async def _with_progress(job: Copy, giving: "Parcels", taking: "Parcels", *, expired_into: "State") -> "Moved":
    from qboxrelay.spool.move import move

    survey = await giving.survey()
    total = survey.messages + (survey.trail if job.with_trail else 0)
    with _progress(total) as progress:
        return await move(giving, taking, expired_into=expired_into, with_trail=job.with_trail, progress=progress)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere a line for each tenth."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    done = 0
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:  # fmt: skip
        task = bar.add_task("moving", total=total)

        def came(number: int) -> None:
            nonlocal done
            before, done = done, done + number
            bar.update(task, completed=done)
            if bar.disable and total and before * 10 // total != done * 10 // total:
                print(f"{done} of {total}", file=sys.stderr)

        yield came


def _expired_into(job: Copy, source: "Settings", target: "Settings") -> "State":
    """What becomes of mail whose outcome is unknown: as a configuration says, that of FROM first."""
    from qboxrelay.model.submission import State

    settings = source if not job.source.startswith(_SCHEMES) else target
    return State.HELD if settings.delivery.unknown_outcome == "hold" else State.QUEUED


def _show_survey(job: Copy, survey: "Survey") -> None:
    from qboxrelay.model.submission import State

    if job.as_json:
        states = {state.value: messages for state, messages in sorted(survey.mail.items())}
        print(to_json({"mail": states, "bytes": survey.bytes, "trail": survey.trail}))
        return
    shown = ", ".join(f"{messages} {state}" for state, messages in sorted(survey.mail.items())) or "there are none"
    print(f"Would move {survey.messages} submissions ({shown}), {survey.bytes / 1e6:.1f} MB.")
    if survey.mail.get(State.SENDING):
        print("What is being sent would go once no relay runs on FROM: it may have been sent then.")
    print(f"{'Would copy' if job.with_trail else 'Would leave'} the records of {survey.trail} finished ones.")


def _show_moved(job: Copy, moved: "Moved") -> None:
    if job.as_json:
        figures = {"moved": moved.mail, "known": moved.known, "trail": moved.trail, "unknown": moved.lost}
        print(to_json({**figures, "pauses": list(moved.pauses)}))
        return
    print(f"Moved {moved.mail} submissions.")
    if moved.known:
        print(f"{moved.known} were in TO already, from a run that was cut off.")
    if moved.lost:
        print(
            f"{moved.lost} of them were under way when their relay ended, and may have been sent: see qboxrelay trace."
        )
    if job.with_trail:
        print(f"Copied the records of {moved.trail} finished ones.")
    if moved.pauses:
        names = ", ".join(plain(account) or "everything" for account in moved.pauses)
        print(f"Paused in TO, as it was in FROM: {names}. To go on: qboxrelay queue resume")
