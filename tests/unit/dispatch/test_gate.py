"""Whether an account may send: a small state machine over the effects of answers."""

from datetime import timedelta

import pytest

from qboxrelay.dispatch.gate import Condition, Gate, Status
from qboxrelay.qboxmail.answer import Effect
from qboxrelay.settings.schema import DeliverySettings

SETTINGS = DeliverySettings.model_validate(
    {
        "account_pause": "60s",
        "quota_pause": "600s",
        "rate_pause": "1s",
        "breaker_failures": 3,
        "breaker_pause": "10s",
        "max_retry_after": "1000s",
    }
)


def gate() -> Gate:
    return Gate(SETTINGS, 0.0)


def judge(gate: Gate, effect: Effect, now: float, retry_after: float | None = None) -> bool:
    wait = None if retry_after is None else timedelta(seconds=retry_after)
    return gate.judge(effect, now, reason="words", retry_after=wait)


@pytest.mark.parametrize(
    ("effect", "condition", "seconds"),
    [
        (Effect.CONFIGURATION, Condition.CONFIGURATION, 60),
        (Effect.QUOTA, Condition.QUOTA, 600),
        (Effect.RATE, Condition.RATE, 1),
    ],
)
def test_pauses_and_probes(effect: Effect, condition: Condition, seconds: float) -> None:
    """A pause has its time; then one small request finds out, and its success opens the gate."""
    account = gate()
    assert judge(account, effect, 100.0)
    status = account.status(100.5)
    assert (status.condition, status.reason, status.lasted_seconds) == (condition, "words", 0.5)
    assert status.wait_seconds == seconds - 0.5
    assert account.probing
    assert account.wait(100 + seconds) == 0

    assert judge(account, Effect.NONE, 100 + seconds)
    assert (account.condition, account.probing, account.paused) == (Condition.RUNNING, False, False)
    assert account.status(800.0).reason == ""


def test_late_success_does_not_end_a_pause() -> None:
    """An answer to a request that began before the pause says nothing about it."""
    account = gate()
    judge(account, Effect.CONFIGURATION, 100.0)

    assert not judge(account, Effect.NONE, 101.0)
    assert account.status(101.0).condition is Condition.CONFIGURATION


def test_failed_probe_pauses_again() -> None:
    """A probe that is refused prolongs the same condition."""
    account = gate()
    judge(account, Effect.CONFIGURATION, 0.0)

    assert not judge(account, Effect.CONFIGURATION, 60.0)
    assert account.wait(60.0) == 60


def test_changed_token_is_probed_at_once() -> None:
    """A new token ends the wait of a refused one, and of nothing else."""
    refused, out_of_quota = gate(), gate()
    judge(refused, Effect.CONFIGURATION, 0.0)
    judge(out_of_quota, Effect.QUOTA, 0.0)
    refused.token_changed()
    out_of_quota.token_changed()

    assert refused.wait(1.0) == 0
    assert refused.probing
    assert out_of_quota.wait(1.0) == 599


def test_breaker_counts_failures_in_a_row() -> None:
    """The breaker opens at so many failures without a success between, and a failed probe opens it again."""
    account = gate()
    for effect in (Effect.TROUBLE, Effect.TROUBLE, Effect.BISECT, Effect.TROUBLE, Effect.TROUBLE):
        assert not judge(account, effect, 0.0)
    assert judge(account, Effect.TROUBLE, 0.0)
    assert (account.condition, account.paused, account.wait(0.0)) == (Condition.TROUBLE, True, 10)

    assert not judge(account, Effect.TROUBLE, 10.0)
    assert account.wait(10.0) == 10

    assert judge(account, Effect.SMALLER, 20.0)
    assert not account.probing


def test_failure_with_retry_after_is_waited_for() -> None:
    """A 503 that says when to come back is obeyed before the breaker opens."""
    account = gate()

    assert judge(account, Effect.TROUBLE, 0.0, retry_after=42)
    assert (account.condition, account.wait(0.0), account.paused) == (Condition.RATE, 42, False)


def test_rate_pause_doubles_up_to_a_minute() -> None:
    """429 without Retry-After: each wait is twice the last, until a request passes."""
    account, now, waits = gate(), 0.0, []
    for _ in range(8):
        judge(account, Effect.RATE, now)
        waits.append(account.wait(now))
        now += account.wait(now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]

    judge(account, Effect.NONE, now)
    judge(account, Effect.RATE, now)
    assert account.wait(now) == 1


def test_retry_after_is_capped() -> None:
    """Ten years of Retry-After are the longest that the settings allow; zero is none."""
    account = gate()
    judge(account, Effect.RATE, 0.0, retry_after=3e8)
    assert account.wait(0.0) == 1000
    other = gate()
    judge(other, Effect.RATE, 0.0, retry_after=0)
    assert other.wait(0.0) == 0


def test_requests_under_way_that_hear_the_same_wait_once() -> None:
    """Four requests get a 429 without Retry-After at once: the wait is the first one's, not that of the fourth in a row."""
    account = gate()
    for late in (0.0, 0.1, 0.2, 0.3):
        judge(account, Effect.RATE, late)

    assert account.wait(0.3) == pytest.approx(0.7)
    judge(account, Effect.RATE, 1.0)
    assert account.wait(1.0) == 2


def test_late_answer_does_not_hide_what_is_waited_for() -> None:
    """A refused token or a spent quota stays the reason shown, and the token file stays watched, whatever else was under way."""
    account = gate()
    judge(account, Effect.CONFIGURATION, 0.0)

    assert not judge(account, Effect.RATE, 1.0, retry_after=5)
    assert not judge(account, Effect.TROUBLE, 1.0, retry_after=5)
    assert (account.condition, account.wait(1.0)) == (Condition.CONFIGURATION, 59)


def test_own_pauses_are_not_capped() -> None:
    """`max_retry_after` bounds what the API asks for, not what the settings say."""
    account = Gate(SETTINGS.model_copy(update={"quota_pause": timedelta(hours=2)}), 0.0)
    judge(account, Effect.QUOTA, 0.0)

    assert account.wait(0.0) == 7200


def told(condition: Condition, wait: float = 50.0, lasted: float = 5.0) -> Status:
    return Status(condition, "words of another", lasted, wait)


def test_hears_from_others() -> None:
    """What another relay found holds here: its reason, its beginning, its end; then its recovery."""
    account = gate()
    assert account.hear(told(Condition.QUOTA), 100.0)
    assert account.status(100.0) == Status(Condition.QUOTA, "words of another", 5.0, 50.0)
    assert account.shared
    assert not account.hear(told(Condition.QUOTA, wait=20.0), 101.0)
    assert account.wait(101.0) == 20.0
    assert account.hear(told(Condition.RUNNING, wait=0.0), 102.0)
    assert (account.wait(102.0), account.shared) == (0.0, False)


def test_tells_others() -> None:
    """Of a pause, of its new end, and of the recovery; not of what changes nothing."""
    heard: list[Condition] = []
    account = Gate(SETTINGS, 0.0, lambda: heard.append(account.condition))
    judge(account, Effect.NONE, 1.0)
    assert heard == []
    judge(account, Effect.QUOTA, 100.0)
    assert account.news
    judge(account, Effect.QUOTA, 100.0)
    judge(account, Effect.QUOTA, 800.0)
    judge(account, Effect.NONE, 1500.0)
    assert heard == [Condition.QUOTA, Condition.QUOTA, Condition.RUNNING]


def test_news_of_its_own_come_first() -> None:
    """What others said before they knew of it changes nothing."""
    account = gate()
    judge(account, Effect.QUOTA, 100.0)
    assert not account.hear(told(Condition.RUNNING, wait=0.0), 100.5)
    assert account.status(101.0).condition is Condition.QUOTA


def test_trouble_of_its_own_machine() -> None:
    """It is told to nobody, and not over because others do well; what holds for all and lasts longer is heard all the same."""
    account = gate()
    account.judge(Effect.CONFIGURATION, 100.0, reason="no token", retry_after=None, everywhere=False)
    assert (account.news, account.shared, account.asks) == (False, False, False)
    assert not account.hear(told(Condition.RUNNING, wait=0.0), 101.0)
    assert not account.hear(told(Condition.QUOTA, wait=1.0), 101.0)
    assert account.status(101.0).condition is Condition.CONFIGURATION
    assert account.hear(told(Condition.QUOTA, wait=500.0), 101.0)
    assert account.status(101.0).condition is Condition.QUOTA


def test_probe_is_agreed_on_unless_the_token_is_new() -> None:
    """Who probes a condition that all have; but a new token was tried by nobody."""
    account = gate()
    assert (account.asks,) == (False,)
    account.hear(told(Condition.CONFIGURATION), 100.0)
    assert account.asks
    account.token_changed()
    assert (account.asks, account.wait(100.0), account.probing) == (False, 0.0, True)
    judge(account, Effect.NONE, 101.0)
    assert account.news
