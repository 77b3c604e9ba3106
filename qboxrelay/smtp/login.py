"""The AUTH command's way from its argument to a claim, and from a result to the reply.

In: the argument, a way to ask the client. Out: a `Claim`; a `Reply`. Never: what a client sent in a reply.
"""

from collections.abc import Awaitable, Callable, Collection

from qboxrelay.model.reply import Reply
from qboxrelay.policy.login.claim import Claim
from qboxrelay.policy.login.result import LoggedIn, Result, Throttled, Unavailable, Wrong
from qboxrelay.smtp import replies
from qboxrelay.smtp.auth import Exchange, ExchangeError, Prompt


async def read_claim(
    argument: str | None,
    *,
    mechanisms: Collection[str],
    challenge: Callable[[], bytes],
    ask: Callable[[Prompt], Awaitable[bytes]],
) -> Claim:
    """Hold the exchange that `AUTH argument` begins; `ask` sends a prompt and returns the client's line. Raises `ExchangeError`."""
    words = (argument or "").split()
    if len(words) not in {1, 2}:
        raise ExchangeError(replies.SYNTAX_AUTH)
    mechanism = words[0].upper()
    if mechanism not in mechanisms:
        raise ExchangeError(replies.AUTH_MECHANISM)
    exchange = Exchange(mechanism, challenge)
    step = exchange.begin(words[1] if len(words) > 1 else None)
    while isinstance(step, Prompt):
        step = exchange.answer(await ask(step))
    return step


def reply_to(result: Result) -> Reply:
    """RFC 4954 §6. A login that was not looked at is temporary: the password may be right."""
    match result:
        case LoggedIn():
            return replies.LOGGED_IN
        case Wrong():
            return replies.LOGIN_WRONG
        case Throttled():
            return replies.LOGIN_THROTTLED
        case Unavailable():
            return replies.LOGIN_UNAVAILABLE
