"""Whole logins, with real threads and a clock that a test moves."""

import asyncio
import hashlib
import hmac
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from qboxrelay.policy.login import hashing
from qboxrelay.policy.login.claim import Claim, CramMd5Claim, PasswordClaim
from qboxrelay.policy.login.hashing import Hashing, HashingBusy, HashingFailed, hash_password
from qboxrelay.policy.login.logins import Logins
from qboxrelay.policy.login.result import LoggedIn, Result, Throttled, Unavailable, User, Wrong
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.telemetry.metrics_auth import AuthMetrics
from tests.support.logins import StandingClock, logins, settings_of

HERE = "192.0.2.1"
ERP = {"name": "erp", "password": "hunter2"}


class Scene:
    """Logins with a standing clock, and what they have counted."""

    def __init__(self, made: Logins, clock: StandingClock, registry: CollectorRegistry) -> None:
        self.logins = made
        self.clock = clock
        self._registry = registry

    async def login(self, user: str, password: str, address: str = HERE) -> Result:
        return await self.logins.verify(plain(user, password), address)

    def count(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(f"qboxrelay_{name}", labels) or 0.0

    @property
    def hashes(self) -> float:
        """How many were computed."""
        return self.count("login_hash_seconds_count")


@contextmanager
def scene(*users: dict[str, Any], **limits: Any) -> Iterator[Scene]:
    clock, registry = StandingClock(), CollectorRegistry()
    with logins(users or [ERP], clock=clock, registry=registry, **limits) as made:
        yield Scene(made, clock, registry)


def plain(user: str, password: str) -> PasswordClaim:
    return PasswordClaim(mechanism="PLAIN", user=user.encode(), password=password.encode())


def cram(user: str, secret: str, challenge: bytes = b"<1@relay.example>") -> CramMd5Claim:
    digest = hmac.new(secret.encode(), challenge, hashlib.md5).hexdigest()
    return CramMd5Claim(user=user.encode(), challenge=challenge, digest=digest.encode())


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_right_password() -> None:
    """The user comes with all that binds it."""

    async def work() -> None:
        with scene({**ERP, "account": "news", "accept": "confirm"}) as here, capture_logs() as logs:
            assert await here.login("erp", "hunter2") == LoggedIn(User("erp", "news", "confirm"))

            assert here.count("logins_total", mechanism="PLAIN") == 1
            assert here.clock.slept == []
        (line,) = logs
        assert (line["event"], line["user"], line["client"], line["mechanism"]) == (
            "login.accepted", "erp", HERE, "PLAIN",
        )  # fmt: skip

    run(work)


@pytest.mark.parametrize(
    ("user", "password", "reason", "shown"),
    [
        ("erp", "hunter3", "password", "erp"),
        ("erp", "", "password", "erp"),
        ("hunter2", "hunter2", "user", None),
        ("", "", "user", None),
        ("mfp", "hunter2", "mechanism", "mfp"),
        ("far", "hunter2", "network", "far"),
        ("far", "hunter3", "password", "far"),
    ],
)
def test_wrong(user: str, password: str, reason: str, shown: str | None) -> None:
    """Each is answered alike, after the delay and one hash; only the log knows why, and it names nobody who is no user."""

    async def work() -> None:
        users: list[dict[str, Any]] = [
            ERP,
            {"name": "mfp", "cram_md5": "hunter2"},
            {**ERP, "name": "far", "networks": ["198.51.100.0/24"]},
        ]
        with scene(*users, failure_delay="2s") as here, capture_logs() as logs:
            assert await here.login(user, password) == Wrong()

            assert here.clock.slept == [2.0]
            assert here.hashes == 1
            assert here.count("login_failures_total", reason=reason) == 1
        (line,) = logs
        assert (line["event"], line["reason"], line["user"]) == ("login.refused", reason, shown)
        assert "hunter" not in str({key: value for key, value in line.items() if key != "user"})

    run(work)


def test_cram_md5() -> None:
    """Right, wrong, unknown, and a user who has no secret for it."""

    async def work() -> None:
        with scene(ERP, {"name": "mfp", "cram_md5": "hunter2"}) as here:
            assert await here.logins.verify(cram("mfp", "hunter2"), HERE) == LoggedIn(User("mfp"))
            for claim in (cram("mfp", "hunter3"), cram("nobody", ""), cram("erp", "hunter2")):
                assert await here.logins.verify(claim, HERE) == Wrong()

            assert here.count("logins_total", mechanism="CRAM-MD5") == 1
            for reason in ("password", "user", "mechanism"):
                assert here.count("login_failures_total", reason=reason) == 1

    run(work)


def test_digest_in_capital_letters() -> None:
    """RFC 2195 says lower case; printers do not read it."""

    async def work() -> None:
        with scene({"name": "mfp", "cram_md5": "hunter2"}) as here:
            claim = cram("mfp", "hunter2")
            loud = CramMd5Claim(user=claim.user, challenge=claim.challenge, digest=claim.digest.upper())
            assert await here.logins.verify(loud, HERE) == LoggedIn(User("mfp"))

    run(work)


def test_answer_to_another_challenge() -> None:
    """What was overheard is worth nothing."""

    async def work() -> None:
        with scene({"name": "mfp", "cram_md5": "hunter2"}) as here:
            old = cram("mfp", "hunter2")
            replayed = CramMd5Claim(user=old.user, challenge=b"<2@relay.example>", digest=old.digest)
            assert await here.logins.verify(replayed, HERE) == Wrong()

    run(work)


def test_application_that_logs_in_for_every_mail() -> None:
    """One hash a minute; the minute begins with the hash, not with the latest login."""

    async def work() -> None:
        with scene() as here:
            for _ in range(59):
                assert isinstance(await here.login("erp", "hunter2"), LoggedIn)
                here.clock.seconds += 1
            assert here.hashes == 1

            here.clock.seconds += 1
            await here.login("erp", "hunter2")
            assert here.hashes == 2

    run(work)


def test_only_what_was_proven_is_remembered() -> None:
    """Other passwords, other names and other networks are looked at in full."""

    async def work() -> None:
        with scene({**ERP, "networks": ["192.0.2.0/24"]}) as here:
            await here.login("erp", "hunter2")
            for user, password, address in (
                ("erp", "hunter3", HERE), ("erp", "hunter3", HERE), ("er", "phunter2", HERE),
                ("erp", "hunter2", "198.51.100.1"), ("erp", "hunter2", "198.51.100.1"),
            ):  # fmt: skip
                before = here.hashes
                assert await here.login(user, password, address) == Wrong()
                assert here.hashes == before + 1

    run(work)


def test_throttled() -> None:
    """After the failures of a window not even the right password is looked at; then it is."""

    async def work() -> None:
        with scene(max_failures_per_address=2, failure_window="10m") as here, capture_logs() as logs:
            await here.login("erp", "a")
            here.clock.seconds += 100
            await here.login("x", "b")
            before = here.hashes

            assert await here.login("erp", "hunter2") == Throttled(500.0)
            assert here.hashes == before
            assert here.count("logins_throttled_total", limit="address") == 1

            here.clock.seconds += 500
            assert isinstance(await here.login("erp", "hunter2"), LoggedIn)
        blocked = [line for line in logs if line["event"] == "login.blocked"]
        assert [(line["limit"], line["seconds"], line["user"]) for line in blocked] == [("address", 500, None)]

    run(work)


def test_proven_password_is_no_way_around_the_limit() -> None:
    """Else a guess that is right would be told from one that is wrong while guessing is blocked."""

    async def work() -> None:
        with scene(max_failures_per_address=2) as here:
            await here.login("erp", "hunter2", "198.51.100.1")
            await here.login("erp", "a")
            await here.login("erp", "b")

            assert isinstance(await here.login("erp", "hunter2"), Throttled)
            assert isinstance(await here.login("erp", "hunter2", "198.51.100.1"), LoggedIn)

    run(work)


def test_guesses_at_the_same_time() -> None:
    """Many connections of one client get as many guesses as one connection."""

    async def work() -> None:
        with scene(max_failures_per_address=3) as here:
            results = await asyncio.gather(*(here.login("erp", f"guess{number}") for number in range(30)))

            assert results.count(Wrong()) == 3
            assert sum(isinstance(result, Throttled) for result in results) == 27
            assert here.hashes == 3
            assert not here.logins._turns

    run(work)


def test_connections_that_log_in_at_the_same_time() -> None:
    """The first one's hash serves them all."""

    async def work() -> None:
        with scene() as here:
            results = await asyncio.gather(*(here.login("erp", "hunter2") for _ in range(30)))

            assert results == [LoggedIn(User("erp"))] * 30
            assert here.hashes == 1

    run(work)


def test_hashes_leave_the_event_loop_free() -> None:
    """They are computed by no more threads than stated, whatever comes, and others are served meanwhile."""
    turns, most = 0, 0
    before = set(threading.enumerate())

    async def work() -> None:
        nonlocal turns, most
        made = Hashing()
        dear = Secret(hash_password(b"hunter2"))
        waiting = asyncio.gather(*(made.matches(dear, b"guess%d" % number) for number in range(12)))
        while not waiting.done():
            turns += 1
            most = max(most, sum(thread.name.startswith("login") for thread in set(threading.enumerate()) - before))
            await asyncio.sleep(0.001)
        assert await waiting == [False] * 12
        assert await made.matches(dear, b"hunter2")
        made.close()

    run(work)
    assert turns > 2  # were they computed here, the first turn would see the end of them
    assert most <= hashing.WORKERS


def test_too_many_at_a_time() -> None:
    """Strangers from everywhere cannot make the queue long: it is full, and the answer temporary."""

    async def work() -> None:
        settings, _ = settings_of([ERP])
        secrets = {"erp": UserSecrets(password_hash=Secret(hash_password(b"hunter2")))}
        registry = CollectorRegistry()
        made = Logins(settings=settings, secrets=secrets, clock=StandingClock(), metrics=AuthMetrics(registry))
        room = hashing.MAX_WAITING + hashing.WORKERS
        claim: Claim = plain("erp", "x")
        results = await asyncio.gather(*(made.verify(claim, f"198.51.100.{number}") for number in range(room + 10)))
        made.close()

        assert results.count(Unavailable()) == 10
        assert registry.get_sample_value("qboxrelay_logins_throttled_total", {"limit": "hashing"}) == 10

    run(work)


@pytest.mark.parametrize("broken", ["$argon2id$AAAA$AAAA", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAA"])
def test_hash_that_cannot_be_computed(broken: str) -> None:
    """Nothing is known about the password then: temporary, in the log, and no failure of the client."""

    async def work() -> None:
        settings, _ = settings_of([ERP], max_failures_per_address=1)
        secrets = {"erp": UserSecrets(password_hash=Secret(broken))}
        registry = CollectorRegistry()
        with capture_logs() as logs:
            made = Logins(settings=settings, secrets=secrets, clock=StandingClock(), metrics=AuthMetrics(registry))
            for _ in range(3):
                assert await made.verify(plain("erp", "hunter2"), HERE) == Unavailable()
            made.close()

        assert [line["event"] for line in logs] == ["login.not_checked"] * 3
        assert registry.get_sample_value("qboxrelay_login_failures_total", {"reason": "error"}) == 3

    run(work)


def test_hashing_says_what_is_wrong() -> None:
    """Its two exceptions are not for wrong passwords."""

    async def work() -> None:
        made = Hashing()
        with pytest.raises(HashingFailed):
            await made.matches(Secret("$argon2id$"), b"x")
        made._pending = hashing.MAX_WAITING + hashing.WORKERS
        with pytest.raises(HashingBusy):
            await made.matches(Secret("$argon2id$"), b"x")
        made.close()

    run(work)
