"""What the queue commands share: the selection that options make, and doing something with many submissions in small steps.

In: options, ids. Out: a `Selection`, `Done`s. Never: a step that a session waits for long.
"""

import asyncio
import os
import pwd
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qboxrelay.model.submission import State

if TYPE_CHECKING:
    from qboxrelay.settings.schema import Settings
    from qboxrelay.spool.queue import Act, Done, Queue, Selection

_PAUSE_SECONDS = 0.05
"""Between two commits: the relay's own get their turn."""
_PAGE = 1000
_NO_ACCOUNT = "there is no account {name} in the configuration: the accounts are {names}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The options as they were given; `older` and `newer` are durations such as 90s, 2h, 3d."""

    states: Sequence[str] = ()
    account: str = ""
    domain: str = ""
    address: str = ""
    client: str = ""
    error: str = ""
    older: str = ""
    newer: str = ""

    @property
    def given(self) -> bool:
        return any(
            (self.states, self.account, self.domain, self.address, self.client, self.error, self.older, self.newer)
        )

    def selection(self, possible: frozenset[State]) -> "Selection":
        """Of the states that are possible. Raises ValueError, whose text says what to write instead."""
        from qboxrelay.settings.types import parse_duration
        from qboxrelay.spool.queue import Selection

        now = datetime.now(UTC)
        asked = frozenset(map(_state, self.states)) or possible
        if not asked & possible:
            raise ValueError(f"--state: this is possible for {', '.join(sorted(possible))} only")
        return Selection(
            states=asked & possible,
            account=self.account,
            domain=self.domain.lstrip("@"),
            address=self.address,
            client=self.client,
            error=self.error,
            received_before=now - parse_duration(self.older) if self.older else None,
            received_after=now - parse_duration(self.newer) if self.newer else None,
        )


async def chosen_ids(queue: "Queue", ids: Sequence[str], selection: "Selection | None") -> list[str]:
    """Submission ids: those of each transaction or submission that is named, or of all that the selection finds, oldest first."""
    if selection is None:
        found: list[str] = []
        for id_ in ids:
            found += [record.id for record in await queue.find(id_)] or [id_]
        return list(dict.fromkeys(found))
    before: int | None = None
    selected: list[str] = []
    while True:
        page = await queue.select(selection, before=before, limit=_PAGE)
        selected += [record.id for record in page.records]
        before = page.next
        if before is None:
            return selected[::-1]


async def act_on(queue: "Queue", act: "Act", ids: Sequence[str]) -> "list[Done]":
    """In small commits, with progress for people who wait."""
    from rich.console import Console
    from rich.progress import Progress

    from qboxrelay.spool.queue import AT_ONCE

    done: list[Done] = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(act, total=len(ids))
        for start in range(0, len(ids), AT_ONCE):
            if start:
                await asyncio.sleep(_PAUSE_SECONDS)
            done += await queue.act(act, ids[start : start + AT_ONCE], by=operator())
            progress.update(task, completed=len(done))
    return done


def operator() -> str:
    """Who runs the command: this user, and the login behind sudo where there is one, as in `ann as root`."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid {os.getuid()}"
    login = os.environ.get("SUDO_USER", name)
    return name if login in {"", name} else f"{login} as {name}"


def unknown_account(settings: "Settings", name: str) -> str:
    """A sentence when the configuration has no such account, else empty."""
    names = [account.name for account in settings.accounts]
    return "" if not name or name in names else _NO_ACCOUNT.format(name=name, names=", ".join(names))


async def tell_of_fallback(settings: "Settings") -> None:
    """What waits on this machine is not in the queue yet; on standard error, so that JSON stays JSON."""
    from qboxrelay.settings.paths import is_postgres

    if not is_postgres(settings):
        return
    from qboxrelay.spool.backend import fallback_path, fallback_waiting
    from qboxrelay.spool.port import SpoolError

    try:
        waiting = await fallback_waiting(settings)
    except SpoolError as error:
        print(f"qboxrelay: the fallback cannot be read: {error}", file=sys.stderr)
        return
    if waiting:
        print(
            f"qboxrelay: {waiting} more wait in {fallback_path(settings)} until the database takes them; they are not in what follows",
            file=sys.stderr,
        )


def open_queue(settings: "Settings") -> "Queue":
    from qboxrelay.model.clock import SystemClock
    from qboxrelay.spool import backend

    return backend.open_queue(settings, clock=SystemClock())


def _state(word: str) -> State:
    try:
        return State(word.lower())
    except ValueError:
        raise ValueError(f"--state {word}: the states are {', '.join(State)}") from None
