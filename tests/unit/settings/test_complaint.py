"""Sentences for what validation finds, beyond what tests/bad_config shows of the real schema."""

from typing import Annotated, Any

import pytest

from qboxrelay.settings.complaint import complain
from qboxrelay.settings.typed import BeforeValidator, ValidationError
from qboxrelay.settings.types import Section


def _short(value: str) -> str:
    if len(value) > 5:
        raise ValueError(f"{value} is too long")
    return value


Short = Annotated[str, BeforeValidator(_short)]


class _Rule(Section):
    match: str


class _Root(Section):
    api_token: Short = "none"
    greeting: Short = "hello"
    host: bytes = b"example.com"
    rule: _Rule | None = None


def complaint(data: dict[str, Any]) -> tuple[str, str, str]:
    with pytest.raises(ValidationError) as caught:
        _Root.model_validate(data)
    mistake = caught.value.mistakes[0]
    return (".".join(map(str, mistake.place)), *complain(mistake, _Root))


def test_value_of_a_secret_is_taken_out_of_a_validator_s_words() -> None:
    """Whoever writes a validator need not think of it."""
    assert complaint({"api_token": "hunter2"}) == ("api_token", "*** is too long", "")
    assert complaint({"greeting": "good day"}) == ("greeting", "good day is too long", "")


def test_required_key_is_named() -> None:
    """It stands nowhere, so the path says where it would."""
    assert complaint({"rule": {}}) == ("rule.match", "is required", "")


def test_type_that_nobody_foresaw_takes_its_own_values_alone() -> None:
    """Better a plain sentence than none, and the default as an example."""
    assert complaint({"host": "!"}) == ("host", "is of another type", "for example host = \"b'example.com'\"")
