"""What an operator's act makes of a submission, whichever backend keeps it.

In: an act, a state, whether there is content. Out: the next state, or why not. Never: SQL.
"""

from collections.abc import Mapping

from qboxrelay.model.submission import State
from qboxrelay.spool.queue import POSSIBLE, Act

BECOMES: Mapping[Act, State] = {Act.RETRY: State.QUEUED, Act.RELEASE: State.QUEUED, Act.HOLD: State.HELD}
"""What is deleted becomes nothing."""
FOLLOWED_AT_ONCE = 10_000
MARK = "acts.followed"
"""The fact that says how far the acts were followed."""

NOT_THERE = "there is no such submission"
_NOT_POSSIBLE: Mapping[State, str] = {
    State.SENDING: "it is being sent at this moment; look again in a minute",
    State.SENT: "it was sent",
    State.HELD: "it is held; release it, or delete it",
    State.FAILED: "it failed; retry it, or delete it",
    State.QUEUED: "it is queued, and will be sent",
}
_NO_CONTENT = (
    "its content is no longer kept (see keep_failed_payloads in [spool]): it has to be sent again where it came from"
)


def refusal(what: Act, state: State, *, has_content: bool) -> str:
    """Why it is not done; empty when it is."""
    if state not in POSSIBLE[what]:
        return _NOT_POSSIBLE[state]
    return _NO_CONTENT if what in {Act.RETRY, Act.RELEASE} and not has_content else ""
