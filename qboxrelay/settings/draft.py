"""A configuration of which only parts are right by themselves, so that rules can still speak of those.

In: what was read. Out: `Draft`: settings without the sections that are wrong. Never: a default in the place of what somebody wrote; a rule
that asks for a section that is left out ends instead.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from qboxrelay.settings.complaint import complain
from qboxrelay.settings.keys import keys_of
from qboxrelay.settings.problem import Problem, SettingsError
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.source import Source
from qboxrelay.settings.typed import ValidationError

T = TypeVar("T")


class LeftOut(Exception):  # noqa: N818 - not an error of a rule
    """A section that a rule asks for is wrong by itself, so that nothing can be said about it and others."""


@dataclass(frozen=True, slots=True)
class Draft:
    """`settings` raises `LeftOut` for a section that is wrong; without `problems` it is whole."""

    settings: Settings
    problems: tuple[Problem, ...]


def draft_of(source: Source) -> Draft:
    """What was read, as far as it is right. Raises `SettingsError` when a part of the file could not be read at all."""
    if any(problem.line is not None or problem.source == str(source.path) for problem in source.problems):
        raise SettingsError(source.problems)
    try:
        return Draft(Settings.model_validate(source.data), source.problems)
    except ValidationError as error:
        wrong = _wrong(error, source.data)
        rest = {name: value for name, value in source.data.items() if name not in wrong}
        problems = (*source.problems, *_translated(error, source))
        return Draft(cast("Settings", _Partial(Settings.model_validate(rest), wrong)), problems)


def as_far_as_known(rule: Callable[[Settings], Iterator[T]], settings: Settings) -> Iterator[T]:
    """What a rule says before it asks for a section that is left out."""
    try:
        yield from rule(settings)
    except LeftOut:
        return


class _Partial:
    def __init__(self, settings: Settings, wrong: frozenset[str]) -> None:
        self._settings = settings
        self._wrong = wrong

    def __getattr__(self, name: str) -> Any:
        if name in self._wrong:
            raise LeftOut(name)
        return getattr(self._settings, name)


def _wrong(error: ValidationError, data: Mapping[str, Any]) -> frozenset[str]:
    """The sections with errors. With a section that nobody knows, also those that are not written: it may mean any of them."""
    named = {str(mistake.place[0]) for mistake in error.mistakes}
    known = set(keys_of(Settings))
    return frozenset(named if named <= known else named | (known - set(data)))


def _translated(error: ValidationError, source: Source) -> Iterator[Problem]:
    for mistake in error.mistakes:
        yield source.problem(mistake.place, *complain(mistake, Settings))
