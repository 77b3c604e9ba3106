"""As whom a user who has logged in may send.

In: the `[[users]]` settings, a user's name, an address of MAIL FROM or From. Out: nothing, or `Refusal`. Never: a look at the mail itself.
"""

from collections.abc import Collection, Sequence

from qboxrelay.model.address import Address
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.policy.patterns import Patterns, folded
from qboxrelay.settings.schema import UserSettings

_ENVELOPE = Reply(
    553, "5.7.1", "This login may not send from this address: use another in MAIL FROM, or add it to the user's senders"
)
_AUTHOR = Reply(
    550, "5.7.1", "This login may not send as the address in From: use another, or add it to the user's senders"
)


class UserSenders:
    """The patterns of those users who have some; other users may send as anybody. None is a client without a login. A user that a
    reload removed while it was logged in may send as nobody.
    """

    def __init__(self, users: Sequence[UserSettings], removed: Collection[str] = ()) -> None:
        self._removed = frozenset(removed)
        self._patterns = {user.name: Patterns(user.senders) for user in users if user.senders}

    def check_sender(self, user: str | None, sender: Address | None) -> None:
        """For MAIL FROM. Raises `Refusal`. The null sender is everybody's (RFC 5321 §4.5.5); who the mail is from is in its From."""
        if sender is not None and not self._may(user, sender):
            raise Refusal(_ENVELOPE, rule="user_senders")

    def check_author(self, user: str | None, author: Address) -> None:
        """For the address that the mail says it is from. Raises `Refusal`."""
        if not self._may(user, author):
            raise Refusal(_AUTHOR, rule="user_senders")

    def _may(self, user: str | None, address: Address) -> bool:
        if user in self._removed:
            return False
        patterns = self._patterns.get(user) if user is not None else None
        return patterns is None or patterns.match(folded(address))
