"""`[[senders]]`: who may send, and as whom."""

from typing import Literal

from qboxrelay.settings.typed import Field
from qboxrelay.settings.types import Network, Section

Priority = Literal["high", "normal", "low"]


class SenderSettings(Section):
    """A rule about senders. They are tried in order, and the first one whose every condition holds decides alone; a mail that none
    matches is taken as it is. In patterns `*` stands for any text and `?` for one character; case does not matter.
    """

    name: str = Field(default="", examples=["local-programs"])
    """Its name in logs, metrics and `explain`; required."""
    networks: tuple[Network, ...] = Field(default=(), examples=[("192.0.2.0/24",)])
    """Condition: the client's address is in one of these."""
    users: tuple[str, ...] = Field(default=(), examples=[("erp",)])
    """Condition: the client has logged in, as a user that one of these patterns names."""
    listeners: tuple[str, ...] = Field(default=(), examples=[("smtp",)])
    """Condition: the mail came in through one of these listeners."""
    envelope_from: tuple[str, ...] = Field(default=(), examples=[("*@localhost", "<>")])
    """Condition: a pattern matches the address of MAIL FROM; the null sender is written `<>`."""
    header_from: tuple[str, ...] = Field(default=(), examples=[("root@*", "www-data@*")])
    """Condition: a pattern matches the address that the mail is from: that of From, without a usable one that of MAIL FROM; a mail that
    names nobody is from `<>`."""
    action: Literal["allow", "refuse"] = "allow"
    """What becomes of a mail that matches."""
    refuse_text: str = "This sender may not use this relay"
    """With `refuse`: the text behind 550 5.7.1. Say what to do instead."""
    from_address: str = Field(default="", examples=["noreply@example.com"])
    """The address that the mail shall be from instead; empty: its own."""
    from_name: str = Field(default="", examples=["Servers"])
    """The display name that the mail shall be from instead; empty: its own."""
    keep_original: Literal["name", "reply_to", "no"] = "name"
    """Where a From that from_address replaces stays visible: inside the display name, as Reply-To (unless the mail has one, or nobody could
    reply to it, as to root@localhost: then inside the name), or nowhere."""
    account: str = Field(default="", examples=["default"])
    """The account to send through; empty: as without the rule."""
    priority: Priority | None = Field(default=None, examples=["low"])
    """How soon it leaves among the mail that waits; not set: as without the rule."""
