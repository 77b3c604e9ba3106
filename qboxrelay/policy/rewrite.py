"""A mail in another name, as a sender rule asks for.

In: a message, its author, the rule. Out: the message with another From, all else as it was. Never: a From that goes without a loss to
count.
"""

from dataclasses import replace

from qboxrelay.model.address import Address, Mailbox
from qboxrelay.model.message import Loss, Message
from qboxrelay.settings.schema import SenderSettings

_NOBODY = Loss("From names nobody: the rule's address stands in", "from_rewritten")


def rewritten(message: Message, author: Mailbox | None, rule: SenderSettings) -> Message:
    """The message as the rule wants it. `author` is who it was from; None when nobody was named, which a new address mends."""
    if author is None:
        return _authored(message, rule) if rule.from_address else message
    address = parse_address(rule.from_address) if rule.from_address else author.address
    name, reply_to = rule.from_name or author.name, message.reply_to
    if (
        rule.keep_original != "no"
        and not _same(author, address)
        and not any(_same(one, author.address) for one in reply_to)
    ):
        if rule.keep_original == "reply_to" and not reply_to and _takes_replies(author.address):
            reply_to = (author,)
        else:
            name = f"{name} ({author.address})" if name else str(author.address)
    from_ = Mailbox(address, name)
    if from_ == author:
        return message
    # A Sender that only repeats From says nothing that does not go, or stay, with it.
    sender = None if message.sender is not None and _same(message.sender, author.address) else message.sender
    loss = Loss(f"From as it was: {author.address}", "from_rewritten")
    return replace(message, from_=from_, sender=sender, reply_to=reply_to, losses=(*message.losses, loss))


def parse_address(text: str) -> Address:
    """An address as the configuration has it, checked there."""
    local, _, domain = text.rpartition("@")
    return Address(local, domain)


def _authored(message: Message, rule: SenderSettings) -> Message:
    from_ = Mailbox(parse_address(rule.from_address), rule.from_name)
    return replace(message, from_=from_, losses=(*message.losses, _NOBODY))


def _same(mailbox: Mailbox, address: Address) -> bool:
    return mailbox.address.folded_key == address.folded_key


def _takes_replies(address: Address) -> bool:
    """Nobody outside could reply to root@localhost or cron@web01, and the API might refuse the whole mail for it."""
    return "." in address.domain.rstrip(".") and not address.domain.startswith("[")
