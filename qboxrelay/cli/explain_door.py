"""What the door of a listener says of a mail apart from its content: for `qboxrelay explain`, which opens no connection.

In: the settings, what the command line says of the client and the envelope. Out: `Doorway`. Never: a check that needs a connection or
counts (passwords, TLS, limits by the minute).
"""

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from qboxrelay.model.address import Address
    from qboxrelay.model.envelope import Client
    from qboxrelay.settings.schema import ListenerSettings, Settings, UserSettings


_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """One client at one listener, logged in or not."""

    settings: "Settings"
    listener: "ListenerSettings"
    user: "UserSettings | None"
    client: "Client"
    is_known: bool
    """Whether somebody said who the client is. Else it is taken for one that may send."""

    @property
    def account(self) -> str | None:
        """The account that the login asks for, else the listener; None when neither does."""
        return (self.user.account if self.user else "") or self.listener.account or None

    def check(self, sender: "Address | None", content: bytes) -> None:
        """Raises `Refusal` where the door would not come as far as judging the content."""
        from qboxrelay.model.reply import Refusal
        from qboxrelay.policy.user_senders import UserSenders
        from qboxrelay.smtp import replies

        if self.is_known:
            self._check_client()
        if self.user is not None:
            UserSenders(self.settings.users).check_sender(self.user.name, sender)
        # SMTP would carry the line ends of a file as CRLF.
        if len(content) + content.count(b"\n") - content.count(b"\r\n") > self.listener.max_message_bytes:
            raise Refusal(replies.TOO_LARGE, rule="max_message_bytes")

    def _check_client(self) -> None:
        from qboxrelay.model.reply import Refusal
        from qboxrelay.policy.networks import Networks
        from qboxrelay.smtp import replies

        if self.user is None and self.listener.auth == "required":
            raise Refusal(replies.LOGIN_FIRST, rule="auth")
        allowed = Networks(self.listener.allow_networks)
        vouched = self.user is not None and self.listener.auth == "optional"
        if allowed and not vouched and self.client.address not in allowed:
            raise Refusal(replies.NOT_ALLOWED, rule="allow_networks")


def doorway(settings: "Settings", *, client: str | None, user: str | None, listener: str | None) -> Doorway:
    """The place that the options name; `typer.BadParameter` says what is wrong with one."""
    from qboxrelay.model.envelope import Client

    doors = {door.name: door for door in settings.listeners}
    door = settings.listeners[0] if listener is None else doors.get(listener)
    if door is None:
        raise typer.BadParameter(f"no listener {listener!r}: {_known(doors)}", param_hint="--listener")
    users = {login.name: login for login in settings.users}
    if user is not None and user not in users:
        raise typer.BadParameter(f"no user {user!r}: {_known(users)}", param_hint="--user")
    address = _LOOPBACK if client is None else client
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise typer.BadParameter(f"{client!r} is not an IP address", param_hint="--client") from None
    return Doorway(
        settings=settings,
        listener=door,
        user=users[user] if user is not None else None,
        client=Client(address=address, user=user, listener=door.name),
        is_known=client is not None,
    )


def _known(names: "dict[str, ListenerSettings] | dict[str, UserSettings]") -> str:
    return (
        f"the configuration knows {', '.join(names)}"
        if names
        else "the configuration knows none, name one with --config"
    )


def path_address(text: str) -> "Address | None":
    """What MAIL and RCPT would make of an address; None for the null path. `typer.BadParameter` where they would refuse it."""
    from qboxrelay.smtp.paths import PathError, read_path

    written = text.strip()
    try:
        return read_path("TO", f"TO:{written if written.startswith('<') else f'<{written}>'}").address
    except PathError:
        raise typer.BadParameter(f"{text!r} is not an address: write local@domain") from None
