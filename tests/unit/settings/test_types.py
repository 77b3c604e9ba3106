"""Durations, sizes, addresses and secrets."""

import pickle
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qboxrelay.settings.toml import format_size
from qboxrelay.settings.typed import ByteSize, ValidationError
from qboxrelay.settings.types import (
    Address,
    OptionalAddress,
    Secret,
    Section,
    Size,
    SocketAddress,
    format_duration,
    parse_duration,
    parse_socket_address,
)


class _Sized(Section):
    size: Size = ByteSize(0)


class _Door(Section):
    address: Address = SocketAddress("127.0.0.1", 25)
    other: OptionalAddress = None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1h 30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("2min", 120),
        ("7D", 604800),
        ("1w", 604800),
        ("0s", 0),
        ("0", 0),
        (0, 0),
        (timedelta(seconds=3), 3),
    ],
)
def test_duration_is_read(text: object, seconds: float) -> None:
    """A duration is one or several numbers with units; nothing needs none."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", [30, 1.5, True, False, "", "30", "s", "30 fortnights", "30s,", "-5s", [], {}, "999999w" * 9]
)
def test_duration_without_clear_unit_is_refused(value: object) -> None:
    """A unit that has to be guessed is not guessed, and whatever TOML can say ends in a sentence."""
    with pytest.raises(ValueError, match="a duration is a number with a unit"):
        parse_duration(value)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36500)))
def test_duration_is_written_as_it_is_read(value: timedelta) -> None:
    """What the reference shows loads back, to the millisecond."""
    whole = timedelta(milliseconds=round(value.total_seconds() * 1000))

    assert parse_duration(format_duration(whole)) == whole


@pytest.mark.parametrize(
    ("text", "size"), [("49MB", 49_000_000), ("16 MiB", 1 << 24), (5, 5), ("5", 5), ("1.5kB", 1500)]
)
def test_size_is_read(text: object, size: int) -> None:
    """Decimal and binary units mean what they say; a bare number is bytes."""
    assert _Sized.model_validate({"size": text}).size == size


@pytest.mark.parametrize("value", [True, -1, 1.5, "-1", "20 gallons", "", [], None])
def test_size_that_is_none_is_refused(value: object) -> None:
    """Neither a truth value nor a negative number is a size."""
    with pytest.raises(ValidationError) as caught:
        _Sized.model_validate({"size": value})
    assert str(caught.value.mistakes[0].context["error"]).startswith("a size is a number with a unit")


@given(st.integers(min_value=0, max_value=1 << 50))
def test_size_is_written_as_it_is_read(size: int) -> None:
    """What the reference shows loads back, to the byte."""
    assert _Sized.model_validate({"size": format_size(size)}).size == size


@pytest.mark.parametrize("text", ["127.0.0.1:25", "[::1]:25", "localhost:0", "[fe80::1%eth0]:587"])
def test_address_is_written_as_it_is_read(text: str) -> None:
    """An address is shown in the form in which it is configured."""
    address = parse_socket_address(text)

    assert str(address) == text
    assert parse_socket_address(address) == address


@pytest.mark.parametrize(
    "value",
    ["", ":25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:25", "[a]:25", "a b:25", "a:٢٥", 25, None, []],
)
def test_address_without_host_and_port_is_refused(value: object) -> None:
    """A host or a port that has to be guessed is not guessed."""
    with pytest.raises(ValidationError) as caught:
        _Door.model_validate({"address": value})
    assert str(caught.value.mistakes[0].context["error"]).startswith("an address is")


def test_empty_text_is_no_address() -> None:
    """TOML has no null: an optional address is turned off by an empty text."""
    assert _Door.model_validate({"other": ""}).other is None
    assert _Door.model_validate({"other": "[::1]:8025"}).other == SocketAddress("::1", 8025)


def test_secret_never_prints() -> None:
    """A secret prints as `***`, in every way that text is made, and is not pickled."""
    secret = Secret("hunter2")

    assert [str(secret), repr(secret), f"{secret}", f"{[secret]}"] == ["***", "***", "***", "[***]"]
    assert secret.reveal() == "hunter2"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_secrets_are_compared_by_text() -> None:
    """The same token read twice is the same secret."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
