"""What the keys of `[notices]` must be to each other and to the rest.

In: `Settings` whose every key is right by itself. Out: findings. Never: a look at the machine.
"""

from collections.abc import Iterator

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.rules_senders import ADDRESS, is_served
from qboxrelay.settings.schema import Settings

_WORDS = ("off", "sender")
_EXAMPLE = 'for example from_address = "postmaster@example.com"'


def notice_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule."""
    notices = settings.notices
    if notices.to not in _WORDS and not ADDRESS.fullmatch(notices.to):
        yield Finding(("notices", "to"), 'must be "off", "sender" or an address')
    if notices.account and notices.account not in [account.name for account in settings.accounts]:
        names = ", ".join(account.name for account in settings.accounts)
        yield Finding(("notices", "account"), "no account has this name", f"there are: {names}")
    if notices.from_address:
        yield from _from(settings)
    elif notices.to != "off":
        yield Finding(("notices", "from_address"), "notices need an address that they are from", _EXAMPLE)


def _from(settings: Settings) -> Iterator[Finding]:
    notices = settings.notices
    if not ADDRESS.fullmatch(notices.from_address):
        yield Finding(("notices", "from_address"), "is not an address", _EXAMPLE)
    elif not notices.account and not is_served(notices.from_address, settings):
        yield Finding(("notices", "from_address"), "no account sends for this domain", "add it to the domains of one")
