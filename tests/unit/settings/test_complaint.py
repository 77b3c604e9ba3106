"""Sentences for what validation finds, beyond what tests/bad_config shows of the real schema."""

from typing import Any

import pytest
from pydantic import Field, ValidationError, field_validator

from qboxrelay.settings.complaint import complain, real_path
from qboxrelay.settings.types import Section


class _Rule(Section):
    match: str
    limit: int | list[int] = 0


class _Root(Section):
    api_token: str = "none"
    greeting: str = "hello"
    host: str = Field(default="example.com", pattern="^[a-z.]+$")
    rule: _Rule | None = None

    @field_validator("api_token", "greeting")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 5:
            raise ValueError(f"{value} is too long")
        return value


def complaint(data: dict[str, Any]) -> tuple[str, str, str]:
    with pytest.raises(ValidationError) as caught:
        _Root.model_validate(data)
    error = caught.value.errors()[0]
    path = real_path(error["loc"], data)
    return (".".join(map(str, path)), *complain(error, path, _Root))


def test_value_of_a_secret_is_taken_out_of_a_validator_s_words() -> None:
    """Whoever writes a validator need not think of it."""
    assert complaint({"api_token": "hunter2"}) == ("api_token", "*** is too long", "")
    assert complaint({"greeting": "good day"}) == ("greeting", "good day is too long", "")


def test_required_key_is_named() -> None:
    """It stands nowhere, so the path says where it would."""
    assert complaint({"rule": {}}) == ("rule.match", "is required", "")


def test_path_ends_where_the_data_ends() -> None:
    """The members of a union are no keys, though validation counts them among the path."""
    path, _, _ = complaint({"rule": {"match": "", "limit": "x"}})

    assert path == "rule.limit"


def test_rule_that_nobody_foresaw_is_told_in_the_library_s_words() -> None:
    """Better a plain sentence of the library than none, and the default as an example."""
    assert complaint({"host": "!"}) == (
        "host",
        "should match pattern '^[a-z.]+$'",
        'for example host = "example.com"',
    )
