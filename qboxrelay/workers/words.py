"""What travels on the channel, as bytes and back.

In: submissions, terms, verdicts, errors. Out: JSON with payloads behind it; terms as Python's own pickles, from main to its own workers alone.
Never: a pickle of a worker, which talks with strangers, read by main; a secret in a text that somebody could print.
"""

import io
import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from qboxrelay.model.submission import Submission
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.spool.confirmations import Verdict
from qboxrelay.spool.port import SpoolDamaged, SpoolDiskFull, SpoolError, SpoolFull, SpoolShortOfMemory

_LENGTH = struct.Struct("!I")
_ALL = tuple(field.name for field in fields(Submission))
_PAYLOAD, _RAW = _ALL.index("payload"), _ALL.index("raw")
_FIELDS = tuple(name for name in _ALL if name not in {"payload", "raw"})
_VALUES = attrgetter(*_FIELDS)
_RECEIVED_AT, _RECIPIENTS = _FIELDS.index("received_at"), _FIELDS.index("recipients")
_ERRORS = {one.__name__: one for one in (SpoolFull, SpoolDiskFull, SpoolDamaged, SpoolShortOfMemory, SpoolError)}


def put_as_bytes(submissions: Sequence[Submission], *, awaited: bool) -> bytes:
    """`awaited`: somebody waits for the API's verdict on them. Raises `SpoolError` for what could not be stored anyway."""
    described = [(*_VALUES(one), len(one.payload), None if one.raw is None else len(one.raw)) for one in submissions]
    try:
        head = orjson.dumps((awaited, described))
    except orjson.JSONEncodeError as error:
        raise SpoolError(f"the submission cannot be stored: {error}") from error
    contents = [content for one in submissions for content in (one.payload, one.raw or b"")]
    return b"".join((_LENGTH.pack(len(head)), head, *contents))


def put_from_bytes(body: bytes) -> tuple[list[Submission], bool]:
    at = _LENGTH.size + _LENGTH.unpack_from(body)[0]
    awaited, described = orjson.loads(body[_LENGTH.size : at])
    submissions = []
    for row in described:
        raw_size, size = row.pop(), row.pop()
        row[_RECEIVED_AT] = datetime.fromisoformat(row[_RECEIVED_AT])
        row[_RECIPIENTS] = tuple(row[_RECIPIENTS])
        payload, at = body[at : at + size], at + size
        raw, at = (None, at) if raw_size is None else (body[at : at + raw_size], at + raw_size)
        # In the order of the fields, raw behind payload: to call the class with names would take a dictionary more.
        row.insert(_PAYLOAD, payload)
        row.insert(_RAW, raw)
        submissions.append(Submission(*row))
    return submissions, awaited


def error_as_bytes(error: SpoolError) -> bytes:
    name = type(error).__name__
    # A text that is none, of a file's name perhaps, must not keep the answer from who waits for it.
    text = str(error).encode("utf-8", "backslashreplace").decode()
    return orjson.dumps((name if name in _ERRORS else SpoolError.__name__, text))


def error_from_bytes(body: bytes) -> SpoolError:
    name, text = orjson.loads(body)
    kind = _ERRORS[name]
    # Its own constructor would put its words in front of the text once more.
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    return error


def verdicts_as_bytes(verdicts: Sequence[Verdict] | None) -> bytes:
    return orjson.dumps(None if verdicts is None else [asdict(one) for one in verdicts])


def verdicts_from_bytes(body: bytes) -> list[Verdict] | None:
    found = orjson.loads(body)
    return None if found is None else [Verdict(**one) for one in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTerms:
    """On what a worker takes mail: `reception.Terms`, with what it needs of another process's gates."""

    settings: Settings
    users: Mapping[str, UserSecrets]
    removed_users: frozenset[str]
    asks_management: bool
    """Whether main asks the Management API."""
    listing: bytes | None
    """Of the Management API, as `domains.keeping` writes it."""


def terms_as_bytes(terms: WorkerTerms) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(terms)
    return file.getvalue()


def terms_from_bytes(body: bytes) -> WorkerTerms:
    """For a worker: main is the process that started it."""
    terms = pickle.loads(body)  # noqa: S301 - see above
    assert isinstance(terms, WorkerTerms)
    return terms


class _Pickler(pickle.Pickler):
    """A `Secret` refuses to be pickled, so that none gets into a file by accident; this goes to a process of the relay and nowhere else."""

    def reducer_override(self, value: Any) -> Any:
        return (Secret, (value.reveal(),)) if type(value) is Secret else NotImplemented
