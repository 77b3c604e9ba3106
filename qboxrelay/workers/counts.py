"""Connections of all workers: who holds how many, of which client, at which door.

In: connections that are handed over and end. Out: the limit that a new one passes, if any; the worker with the fewest. Never: a connection that
counts after its worker is gone.
"""

from collections.abc import Iterable

from qboxrelay.settings.schema import ListenerSettings

Place = tuple[str, str]
"""A listener's name, and the client where it is counted; else empty."""


class Counts:
    """By the worker's number. Plain tables: they are looked at for every connection."""

    def __init__(self) -> None:
        self._held: dict[int, dict[Place, int]] = {}
        self._of_worker: dict[int, int] = {}
        self._of_place: dict[Place, int] = {}
        self._of_listener: dict[str, int] = {}

    @property
    def sessions(self) -> int:
        return sum(self._of_worker.values())

    def fewest(self, workers: Iterable[int]) -> int:
        """The worker with the fewest connections."""
        of_worker = self._of_worker
        return min(workers, key=lambda worker: (of_worker.get(worker, 0), worker))

    def passes(self, listener: ListenerSettings, client: str) -> str:
        """The name of the limit that one more connection passes; empty when there is room."""
        if self._of_listener.get(listener.name, 0) >= listener.max_connections:
            return "max_connections"
        most = listener.max_connections_per_client
        if client and most and self._of_place.get((listener.name, client), 0) >= most:
            return "max_connections_per_client"
        return ""

    def entered(self, worker: int, place: Place) -> None:
        held = self._held.setdefault(worker, {})
        held[place] = held.get(place, 0) + 1
        self._change(worker, place, 1)

    def left(self, worker: int, place: Place) -> None:
        """Nothing happens for a connection that was given up with its worker."""
        held = self._held.get(worker, {})
        number = held.get(place, 0)
        if number > 1:
            held[place] = number - 1
        elif number == 1:
            del held[place]
        if number:
            self._change(worker, place, -1)

    def gone(self, worker: int) -> None:
        """The worker, and its connections with it."""
        for place, number in self._held.pop(worker, {}).items():
            self._change(worker, place, -number)

    def _change(self, worker: int, place: Place, by: int) -> None:
        self._of_worker[worker] = self._of_worker.get(worker, 0) + by
        self._of_listener[place[0]] = self._of_listener.get(place[0], 0) + by
        now = self._of_place.get(place, 0) + by
        if now:
            self._of_place[place] = now
        else:
            # Clients come and go: the table holds those that are here.
            del self._of_place[place]
