"""Users and their logins for tests, with hashes that cost nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import argon2
from prometheus_client import CollectorRegistry

from qboxrelay.model.clock import Clock, SystemClock
from qboxrelay.policy.login.logins import Logins
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.telemetry.metrics_auth import AuthMetrics

_CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class StandingClock:
    """A clock that goes only where a test puts it. Sleeping takes no time; `slept` says for how many seconds."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, delay: timedelta) -> None:
        self.slept.append(delay.total_seconds())


def cheap_hash(password: str) -> str:
    return _CHEAP.hash(password)


def settings_of(users: Sequence[Mapping[str, Any]], **limits: Any) -> tuple[Settings, dict[str, UserSecrets]]:
    """Settings with these users. `password` and `cram_md5` in clear text are theirs to log in with; the rest is as in [[users]]."""
    secrets = {
        user["name"]: UserSecrets(
            password_hash=Secret(cheap_hash(user["password"])) if "password" in user else None,
            cram_md5=Secret(user["cram_md5"]) if "cram_md5" in user else None,
        )
        for user in users
    }
    tables = [{key: user[key] for key in user if key not in {"password", "cram_md5"}} for user in users]
    return Settings.model_validate({"users": tables, "logins": {"failure_delay": "0s", **limits}}), secrets


@contextmanager
def logins(
    users: Sequence[Mapping[str, Any]],
    *,
    clock: Clock | None = None,
    registry: CollectorRegistry | None = None,
    **limits: Any,
) -> Iterator[Logins]:
    """Logins of these users; `limits` are keys of [logins]."""
    settings, secrets = settings_of(users, **limits)
    made = Logins(
        settings=settings,
        secrets=secrets,
        clock=clock or SystemClock(),
        metrics=AuthMetrics(registry or CollectorRegistry()),
    )
    try:
        yield made
    finally:
        made.close()
