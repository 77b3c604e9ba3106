"""Connections over all workers: limits are those of the whole relay, and a worker that is gone holds nothing."""

from qboxrelay.settings.schema import ListenerSettings
from qboxrelay.workers.counts import Counts

DOOR = ListenerSettings(max_connections=3, max_connections_per_client=2)
ANN, BOB, EVE = ("smtp", "192.0.2.1"), ("smtp", "192.0.2.2"), ("smtp", "192.0.2.3")


def test_the_fewest() -> None:
    """The next connection goes to the worker with the fewest, the first of several."""
    counts = Counts()
    assert counts.fewest([2, 1, 3]) == 1
    counts.entered(1, ANN)
    assert counts.fewest([1, 2, 3]) == 2
    counts.entered(2, ANN)
    counts.entered(3, ANN)
    counts.left(2, ANN)
    assert counts.fewest([1, 2, 3]) == 2


def test_limits() -> None:
    """Of one client, then of all; what has left makes room."""
    counts = Counts()
    counts.entered(1, ANN)
    counts.entered(2, ANN)
    assert counts.passes(DOOR, ANN[1]) == "max_connections_per_client"
    assert not counts.passes(DOOR, BOB[1])
    assert not counts.passes(DOOR, ""), "behind a proxy only the door's limit counts"
    counts.entered(1, BOB)
    assert counts.passes(DOOR, EVE[1]) == "max_connections"
    assert counts.sessions == 3
    counts.left(2, ANN)
    assert not counts.passes(DOOR, ANN[1])
    assert not counts.passes(DOOR.model_copy(update={"max_connections_per_client": 0}), ANN[1])


def test_a_worker_that_is_gone() -> None:
    """Its connections make room at once, and word of them that comes late changes nothing."""
    counts = Counts()
    for place in (ANN, ANN, BOB):
        counts.entered(1, place)
    counts.entered(2, ANN)
    counts.gone(1)
    counts.left(1, ANN)

    assert counts.sessions == 1
    assert not counts.passes(DOOR, ANN[1])
    counts.gone(7)
    counts.left(2, ANN)
    counts.left(2, ANN)
    assert counts.sessions == 0
