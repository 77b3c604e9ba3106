"""What this part needs of its neighbours, as protocols: who lists the domains, and who keeps the list over a restart.

In: nothing. Out: protocols. Never: knowledge of HTTP or SQL; `service` puts the parts together.
"""

from typing import Protocol

from qboxrelay.model.sender_domain import Listing


class Management(Protocol):
    """The Management API."""

    async def listing(self) -> Listing:
        """Raises `ManagementFailure`."""
        ...


class Kept(Protocol):
    """Bytes as they were kept; `version` grows when they are kept anew."""

    @property
    def value(self) -> bytes: ...

    @property
    def version(self) -> int: ...


class Store(Protocol):
    """Where facts survive a restart, and where `qboxrelay domains refresh` leaves them for a running relay."""

    async def remember(self, name: str, value: bytes) -> None: ...

    async def recall(self, name: str, *, after: int = 0) -> Kept | None:
        """None when there is nothing newer than the version `after`."""
        ...
