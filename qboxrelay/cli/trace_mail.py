"""What Qboxmail's TraceMail lists for a mail (API page getApiDeliveryTracemailMailouts).

In: stories, a Management token. Out: rows as they came, or a sentence why there are none. Never: a meaning for a field: no row's fields are
documented, nor a filter by `message_id` or `request_id`; so rows are asked for by sender and recipient, and those that name an id of the
mail anywhere stand out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.qboxmail.management import ManagementClient
    from qboxrelay.spool.queue import Story

COLLECTIONS = ("worked", "queued", "errors")
_MOST_ASKED = 5
"""Pairs of sender and recipient of one mail; each is a request for each collection."""
_LEAST_ID = 8
"""Shorter ones may stand anywhere by chance."""
_NOT_ASKED = "not asked: it needs a Management API token, token_file in [sender_domains]"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a collection. `names_it`: an id of the mail stands somewhere in it."""

    collection: str
    row: Mapping[str, Any]
    names_it: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """`why_not` is empty when every question was answered."""

    rows: tuple[Row, ...] = ()
    why_not: str = ""

    @property
    def relevant(self) -> tuple[Row, ...]:
        """Those that name the mail; where none does, all: nobody knows whether rows name ids at all."""
        return tuple(row for row in self.rows if row.names_it) or self.rows


async def tracemail(loaded: "Loaded", stories: Sequence["Story"]) -> Listed:
    from qboxrelay.model.clock import SystemClock
    from qboxrelay.qboxmail.management import ManagementClient

    if loaded.management_token is None:
        return Listed(why_not=_NOT_ASKED)
    client = ManagementClient(
        settings=loaded.settings.sender_domains, token=loaded.management_token, clock=SystemClock()
    )
    try:
        return await _asked(client, stories)
    finally:
        await client.close()


async def _asked(client: "ManagementClient", stories: Sequence["Story"]) -> Listed:
    from qboxrelay.model.sender_domain import ManagementFailure

    ids, found = {id_ for id_ in _ids(stories) if len(id_) >= _LEAST_ID}, list[Row]()
    try:
        for query in _queries(stories):
            for collection in COLLECTIONS:
                listed = await client.mailouts({**query, "collection": collection})
                found += [row for row in (_row(collection, one, ids) for one in listed) if row not in found]
    except ManagementFailure as failure:
        return Listed(tuple(found), str(failure))
    return Listed(tuple(found))


def pairs(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A row's fields as texts. Where a text is itself a JSON object, as in the reference's `data`, its own fields."""
    shown: list[tuple[str, str]] = []
    for name, value in row.items():
        inner = _object(value)
        shown += pairs(inner) if inner is not None else [(str(name), _text(value))]
    return shown


def _queries(stories: Iterable["Story"]) -> list[dict[str, str]]:
    wanted = {
        (story.record.from_address, recipient): None for story in stories for recipient in story.record.recipients[:1]
    }
    return [{"from": sender, "to": to} for sender, to in list(wanted)[:_MOST_ASKED]]


def _ids(stories: Iterable["Story"]) -> Iterator[str]:
    for story in stories:
        yield from filter(None, (story.record.message_id, story.message_id_header.strip("<>"), story.transaction_id))
        yield from (attempt.request_id for attempt in story.attempts if attempt.request_id and attempt.messages == 1)


def _row(collection: str, row: Mapping[str, Any], ids: set[str]) -> Row:
    text = json.dumps(row, ensure_ascii=False)
    return Row(collection, row, any(id_ in text for id_ in ids))


def _object(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
