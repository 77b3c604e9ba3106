"""Reloading: the story of one configuration that takes another's place while mail goes on.

In: somebody who asks, a way to read the configuration. Out: the relay with other settings, and a record of what came of it. Never: half a
configuration: what cannot be used changes nothing and is said with file and line.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from qboxrelay.manager.reload_record import ReloadRecord, write_record
from qboxrelay.manager.service_manager import ServiceManager
from qboxrelay.qboxmail.token import TokenSource
from qboxrelay.settings.problem import SettingsError
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.user_secrets import UserSecrets

log = structlog.get_logger()


class Configuration(Protocol):
    """What was read: settings that can run, with the secrets that they name."""

    @property
    def settings(self) -> Settings: ...
    @property
    def tokens(self) -> Mapping[str, TokenSource]: ...
    @property
    def users(self) -> Mapping[str, UserSecrets]: ...
    @property
    def management_token(self) -> TokenSource | None: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did: the sections that are others now, and what waits for a restart."""

    changed: tuple[str, ...]
    waiting: tuple[str, ...]


TakeOver = Callable[[Configuration], Awaitable[Reloaded]]
"""`service.Relay.reload`. Raises OSError."""


class Reloads:
    """`ask` from a signal handler; `run` for as long as the relay lives. Who asks while one is under way gets another."""

    def __init__(self, *, read: Callable[[], Configuration], record: Path, manager: ServiceManager) -> None:
        """`read` raises `SettingsError`; it may take its time. `record` is the file that `qboxrelay reload` looks at."""
        self._read = read
        self._record = record
        self._manager = manager
        self._asked = asyncio.Event()

    def ask(self) -> None:
        self._asked.set()

    async def run(self, take_over: TakeOver) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            began = time.monotonic_ns()
            self._manager.reloading()
            done, lines = await self._reload(take_over)
            self._manager.ready("Reloaded the configuration" if done else "The configuration could not be reloaded")
            await asyncio.to_thread(write_record, self._record, ReloadRecord(began, done, lines))

    async def _reload(self, take_over: TakeOver) -> tuple[bool, tuple[str, ...]]:
        """Whether the new configuration is in force, and what there is to say for people."""
        try:
            wanted = await asyncio.to_thread(self._read)
            reloaded = await take_over(wanted)
        except SettingsError as error:
            lines = tuple(map(str, error.problems))
            log.error("relay.not_reloaded", problems=lines, hint="nothing has changed")  # noqa: TRY400 - they say it all
            return False, lines
        except OSError as error:
            log.error("relay.not_reloaded", error=error.strerror or str(error), hint="nothing has changed")  # noqa: TRY400 - as above
            return False, (error.strerror or str(error),)
        except Exception as error:
            log.exception("relay.not_reloaded")
            return False, (f"an internal error: {type(error).__name__}; the log has more",)
        for warning in wanted.warnings:
            log.warning("settings.warning", text=warning)
        log.info("relay.reloaded", changed=reloaded.changed, needs_restart=reloaded.waiting)
        changed = f"changed: {', '.join(reloaded.changed)}" if reloaded.changed else "nothing has changed"
        return True, (changed, *(f"needs a restart: {one}" for one in reloaded.waiting), *wanted.warnings)
