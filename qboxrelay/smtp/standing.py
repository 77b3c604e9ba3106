"""Who a client is, as its address, EHLO, STARTTLS and AUTH have made it: worked out once, and not for each of its mails.

In: what a session knows. Out: `Standing`. Never: anything that changes without one of those commands.
"""

from datetime import timedelta

from qboxrelay.model.envelope import Client
from qboxrelay.model.reply import Reply
from qboxrelay.model.value import value


@value(frozen=True, slots=True, kw_only=True)
class Standing:
    """What holds for all mails until one of the commands changes it."""

    client: Client
    key: str
    """By what the client's mails and recipients are counted."""
    account: str | None
    """The account that mail leaves through unless a rule names another: the user's, else the listener's; None when neither has one."""
    confirm: timedelta | None
    """How long this client waits for the API's verdict; None when it does not."""
    refusal: Reply | None
    """Why no mail may begin; None when it may."""
