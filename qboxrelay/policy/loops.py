"""Mail that runs in a circle, and mail in pieces: what no relay should pass on.

In: a message, the settings. Out: the ids it had on earlier passes, or `Refusal`. Never: memory or I/O; all is in the mail.

Whose passes count: those of every relay of this kind, of ours and of others. The API composes each mail anew, so Received fields do not
grow on the way through a relay; but the relay's own field travels with the mail. Each relay writes its id into X-Qboxrelay-Id and moves the
ones it finds to X-Qboxrelay-Earlier-Ids. So a loop over any number of relays ends, without a name that all of them would have to know,
and without one that tells the recipients what machines there are.
"""

from qboxrelay.model.ids import is_submission_id
from qboxrelay.model.message import Message
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.settings.schema import RelaySettings

_PARTIAL = Reply(
    554,
    "5.6.1",
    "One piece of a divided mail (message/partial) cannot be sent: turn off the splitting of mail in the sending device, often named "
    "'divide' or 'split' mail or 'maximum data size', and send it whole",
)


def require_straight(message: Message, settings: RelaySettings) -> None:
    """Raises `Refusal` for a mail that went round, and for a fragment."""
    if message.partial:
        raise Refusal(_PARTIAL, rule="partial")
    if message.received_count > settings.max_received:
        raise _loop(f"it has {message.received_count} Received fields")
    passes = len(earlier_ids(message)) if message.relay_ids else 0
    if passes > settings.max_passes:
        raise _loop(f"it went through a relay of this kind {passes} times before")


def earlier_ids(message: Message) -> tuple[str, ...]:
    """The ids that relays gave the mail before, latest first. What cannot be such an id is somebody else's text and does not count."""
    return tuple(dict.fromkeys(filter(is_submission_id, message.relay_ids)))


def _loop(found: str) -> Refusal:
    text = f"Mail loop: {found}. Look for a forwarding or an automatic answer that sends the relay's mail back to it"
    return Refusal(Reply(554, "5.4.6", text), rule="loop")
