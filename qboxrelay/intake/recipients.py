"""Who receives a mail and who sees whom: the envelope decides, the header only places and names.

In: the envelope's recipients, the mailboxes of To and Cc. Out: `Audience`s, one for each submission. Never: an address that
stands only in the header, a recipient twice, a blind recipient where another one can see it.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from operator import attrgetter

from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.value import value

_Key = tuple[str, str]
"""`Address.exact_key`."""
_ADDRESS = attrgetter("address")


@value(frozen=True, slots=True)
class Audience:
    """The recipients of one submission."""

    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(map(_ADDRESS, (*self.to, *self.cc, *self.bcc)))


def assembled(
    recipients: Sequence[Address], to: Sequence[Mailbox], cc: Sequence[Mailbox], most: int
) -> tuple[Sequence[Audience], int]:
    """The audiences of `most` recipients each, and how many mailboxes of the header the envelope does not hold."""
    if len(recipients) == 1 == len(to) and not cc and _same(recipients[0], to[0].address):
        # What nearly every mail of an application is.
        return (Audience(tuple(to)),), 0
    audience, unmailed = _placed(recipients, to, cc)
    return _split(audience, most), unmailed


def _placed(recipients: Sequence[Address], to: Sequence[Mailbox], cc: Sequence[Mailbox]) -> tuple[Audience, int]:
    """The envelope as those who stand in To, those in Cc, and the blind. To wins over Cc; duplicates count once."""
    waiting: dict[_Key, Address] = {}
    for recipient in recipients:
        waiting.setdefault(_keys(recipient.local, recipient.domain)[0], recipient)
    envelope = (*waiting.values(),)
    header = (*to, *cc)
    seats: dict[_Key, int] = {}
    guests: list[list[Mailbox]] = []
    for seat, named in enumerate(header):
        exact, folded = _keys(named.address.local, named.address.domain)
        seats.setdefault(folded, seat)
        found = waiting.pop(exact, None)
        guests.append([] if found is None else [_shown(found, named)])
    for exact, blind in (*waiting.items(),) if seats else ():
        # Who stands nowhere as written may stand there but for the case of the local part.
        seat = seats.get(_keys(blind.local, blind.domain)[1], -1)
        if seat >= 0:
            guests[seat].append(_shown(waiting.pop(exact), header[seat]))
    audience = Audience(
        tuple(chain.from_iterable(guests[: len(to)])),
        tuple(chain.from_iterable(guests[len(to) :])),
        tuple(map(Mailbox, waiting.values())),
    )
    return audience, _unmailed(envelope, header) if [] in guests else 0


@lru_cache(maxsize=4096)
def _keys(local: str, domain: str) -> tuple[_Key, _Key]:
    """`Address.exact_key` and `folded_key`, remembered: an application writes to the same people, in header and envelope."""
    address = Address(local, domain)
    return address.exact_key, address.folded_key


def _shown(guest: Address, named: Mailbox) -> Mailbox:
    """The recipient as the envelope writes it, with the name that the header gives it."""
    return named if _same(guest, named.address) else Mailbox(guest, named.name)


def _same(one: Address, other: Address) -> bool:
    """As `==`, which makes a tuple of each first."""
    return one.local == other.local and one.domain == other.domain


def _unmailed(envelope: Iterable[Address], header: Iterable[Mailbox]) -> int:
    """Mailboxes of the header that the envelope does not hold."""
    mailed = {_keys(address.local, address.domain)[1] for address in envelope}
    return sum(_keys(named.address.local, named.address.domain)[1] not in mailed for named in header)


def _split(audience: Audience, most: int) -> list[Audience]:
    """The submissions. Blind recipients travel beside visible ones; where nobody is visible, each gets a mail of its own."""
    total = len(audience.to) + len(audience.cc) + len(audience.bcc)
    if total <= most and (audience.to or audience.cc):
        return [audience]
    visible = [("to", mailbox) for mailbox in audience.to] + [("cc", mailbox) for mailbox in audience.cc]
    blind = list(audience.bcc)
    groups = _even(visible, min(len(visible), -(-total // most))) if visible else []
    audiences = []
    for group in groups:
        beside, blind = blind[: most - len(group)], blind[max(0, most - len(group)) :]
        audiences.append(
            Audience(
                tuple(mailbox for place, mailbox in group if place == "to"),
                tuple(mailbox for place, mailbox in group if place == "cc"),
                tuple(beside),
            )
        )
    # A message with blind recipients only is no documented form; its reader would see itself in To anyway.
    return audiences + [Audience(to=(mailbox,)) for mailbox in blind]


def _even(items: list[tuple[str, Mailbox]], groups: int) -> list[list[tuple[str, Mailbox]]]:
    """`items` in order in so many groups of nearly the same size."""
    size, more = divmod(len(items), groups)
    starts = [number * size + min(number, more) for number in range(groups + 1)]
    return [items[start:stop] for start, stop in pairwise(starts)]
