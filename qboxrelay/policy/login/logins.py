"""The story of one login, readable top to bottom.

In: a claim, the client's address. Out: a `Result`, a failure after its delay. Never: a user name in the log that is none of ours, because
people type passwords into the user field.

A client's logins are looked at one after the other: else it could make as many guesses as it has connections before the first failure
counts. Limits come before everything else, because a right password that is answered while guessing is blocked would be a guess that counts.
"""

import asyncio
import hashlib
import hmac
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from qboxrelay.model.clock import Clock
from qboxrelay.model.ids import RandomBytes
from qboxrelay.model.telling import Tell, nobody
from qboxrelay.policy.login.claim import Claim, CramMd5Claim, PasswordClaim
from qboxrelay.policy.login.credentials import Candidate, Credentials
from qboxrelay.policy.login.hashing import Hashing, HashingBusy, HashingFailed
from qboxrelay.policy.login.memory import ProvenLogins
from qboxrelay.policy.login.result import LoggedIn, Result, Throttled, Unavailable, User, Wrong
from qboxrelay.policy.login.throttle import Throttle, site_of
from qboxrelay.policy.networks import Networks
from qboxrelay.policy.user_senders import UserSenders
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.telemetry.metrics_auth import AuthMetrics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One claim, whom its name stands for, and where it comes from."""

    claim: Claim
    candidate: Candidate
    address: str

    @property
    def shown(self) -> dict[str, str | None]:
        """What the log may know of it."""
        known = self.candidate.settings.name if self.candidate.settings is not None else None
        return {"client": self.address, "user": known, "mechanism": self.claim.mechanism}


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0


class Logins:
    """The users of a relay, for all its doors. `close()` ends its threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        secrets: Mapping[str, UserSecrets],
        clock: Clock,
        metrics: AuthMetrics,
        random_bytes: RandomBytes = os.urandom,
        throttle: Throttle | None = None,
        tell: Tell = nobody,
    ) -> None:
        """With `throttle` the failures that were counted before still count; `tell` says to other processes what is counted here."""
        self._credentials = Credentials(settings.users, secrets, random_bytes)
        self._networks = {user.name: Networks(user.networks) for user in settings.users if user.networks}
        self.throttle = throttle or Throttle(settings.logins, tell)
        self._delay = settings.logins.failure_delay
        self._proven = ProvenLogins(random_bytes)
        self._hashing = Hashing(metrics.hashed)
        self._turns: dict[bytes, _Turn] = {}
        self._clock = clock
        self._metrics = metrics
        self.senders = UserSenders(settings.users)
        self.max_failures_per_connection = settings.logins.max_failures_per_connection

    async def verify(self, claim: Claim, address: str) -> Result:
        """Whether the client is who it claims to be."""
        attempt = _Attempt(claim, self._credentials.candidate(claim.user), address)
        async with self._turn(site_of(address)):
            result = await self._look(attempt)
        if isinstance(result, Wrong):
            await self._clock.sleep(self._delay)
        return result

    async def _look(self, attempt: _Attempt) -> Result:
        blocked = self.throttle.blocked(attempt.address, attempt.claim.user, self._clock.monotonic())
        if blocked is not None:
            self._metrics.throttled(blocked[0])
            return Throttled(blocked[1])
        try:
            reason = await self._fault(attempt)
        except HashingBusy:
            self._metrics.throttled("hashing")
            return Unavailable()
        except HashingFailed as error:
            log.error("login.not_checked", error=str(error), **attempt.shown)  # noqa: TRY400 - one sentence of argon2
            self._metrics.failed("error")
            return Unavailable()
        settings = attempt.candidate.settings
        if reason is not None or settings is None:
            self._failed(attempt, reason or "user")
            return Wrong()
        self.throttle.succeeded(attempt.address, attempt.claim.user, self._clock.monotonic())
        self._metrics.succeeded(attempt.claim.mechanism)
        log.info("login.accepted", **attempt.shown)
        return LoggedIn(User.of(settings))

    async def _fault(self, attempt: _Attempt) -> str | None:
        """Why the claim is wrong, in a word of a closed set; None when it is right. The work is the same for all that are wrong."""
        claim, candidate = attempt.claim, attempt.candidate
        inside = candidate.settings is None or self._is_near(candidate.settings.name, attempt.address)
        if isinstance(claim, PasswordClaim):
            able, right = candidate.has_password, await self._has_password(claim, candidate, remembered=inside)
        else:
            able, right = candidate.has_cram_md5, _answers(claim, candidate)
        if candidate.settings is None:
            return "user"
        if not able:
            return "mechanism"
        if not right:
            return "password"
        return None if inside else "network"

    async def _has_password(self, claim: PasswordClaim, candidate: Candidate, *, remembered: bool) -> bool:
        now = self._clock.monotonic()
        if self._proven.holds(claim.user, claim.password, now) and remembered:
            return True
        right = await self._hashing.matches(candidate.password_hash, claim.password)
        if right and remembered:
            self._proven.add(claim.user, claim.password, now)
        return right

    def _is_near(self, name: str, address: str) -> bool:
        networks = self._networks.get(name)
        return networks is None or address in networks

    def _failed(self, attempt: _Attempt, reason: str) -> None:
        now = self._clock.monotonic()
        self.throttle.failed(attempt.address, attempt.claim.user, now)
        self._metrics.failed(reason)
        log.warning("login.refused", reason=reason, **attempt.shown)
        blocked = self.throttle.blocked(attempt.address, attempt.claim.user, now)
        if blocked is not None:
            log.warning("login.blocked", limit=blocked[0], seconds=round(blocked[1]), **attempt.shown)

    @asynccontextmanager
    async def _turn(self, site: bytes) -> AsyncIterator[None]:
        turn = self._turns.setdefault(site, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[site]

    def elsewhere(self, outcome: str, address: str, user: str) -> None:
        """A login ended in another process of the relay."""
        self.throttle.elsewhere(outcome, address, user, self._clock.monotonic())

    def close(self) -> None:
        self._hashing.close()


def _answers(claim: CramMd5Claim, candidate: Candidate) -> bool:
    wanted = hmac.digest(candidate.cram_md5, claim.challenge, hashlib.md5).hex().encode()
    return hmac.compare_digest(wanted, claim.digest.lower()) and candidate.has_cram_md5
