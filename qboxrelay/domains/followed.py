"""The listing of another process, which asks the Management API and keeps what it says.

In: listings as that process has them. Out: the latest. Never: a question to anybody.
"""

import asyncio
from datetime import timedelta

from qboxrelay.model.sender_domain import Listing, ManagementFailure


class Followed:
    """Stands in the place of a `Refresher`."""

    failure: ManagementFailure | None = None
    """The other process tells people."""

    def __init__(self, listing: Listing | None) -> None:
        self.listing = listing

    async def restore(self, _max_age: timedelta) -> None:
        """What there is came with the start."""

    async def run(self) -> None:
        """Until it is cancelled."""
        await asyncio.Event().wait()
