"""What the sandbox remembers is bounded, and counted all the same."""

from qboxrelay.sandbox.ledger import Ledger, Received


def _keep(ledger: Ledger, size: int) -> None:
    ledger.keep(
        Received(
            number=ledger.next_number(),
            request_id="r",
            message_id=f"m{size}",
            account=1,
            position=0,
            received_at=0.0,
            size=size,
            message={},
        )
    )


def test_bytes_are_bounded() -> None:
    """The oldest go; the newest stays however large it is."""
    ledger = Ledger(inbox_size=100, inbox_bytes=100)
    for size in (40, 50, 30, 500):
        _keep(ledger, size)

    assert [received.size for received in ledger.inbox] == [500]
    _keep(ledger, 10)
    assert [received.size for received in ledger.inbox] == [10]
    assert ledger.accepted == 5


def test_messages_are_found_while_remembered() -> None:
    """By their id."""
    ledger = Ledger(inbox_size=1, inbox_bytes=100)
    _keep(ledger, 1)
    _keep(ledger, 2)

    assert ledger.find("m1") is None
    assert ledger.find("m2") is not None
