"""Where lines of the log go: a stream, or the journal of systemd.

In: lines, or entries of the journal, from any thread. Out: each written whole. Never: an exception for a stream that is gone, a line kept in a
buffer that nobody empties.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from select import PIPE_BUF
from typing import Any, Self, TextIO

from qboxrelay.telemetry.journal import Journal, journal_entry
from qboxrelay.telemetry.rendering import as_octets, json_line


class Entry:
    """One event for the journal. `line` says the same where the journal takes nothing."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.octets = journal_entry(fields)
        self._fields = fields

    def line(self) -> bytes:
        return as_octets(json_line(self._fields))


class _Held(threading.local):
    """What a thread has said and is to be written together; None where each line goes out at once."""

    octets: list[bytes] | None = None


class Lines:
    """The logger under structlog's: writes a line, at once (or at the end of `together`) and whole, and loses it where the stream is gone."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._held = _Held()
        self._descriptor = _descriptor(stream)

    def __call__(self, *_arguments: Any) -> Self:
        return self

    def msg(self, line: bytes) -> None:
        held = self._held.octets
        if held is None:
            self._write(line)
        else:
            held.append(line)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread says within the block goes out at its end, in few writes."""
        if self._held.octets is not None:
            yield
            return
        held = self._held.octets = []
        try:
            yield
        finally:
            self._held.octets = None
            for piece in _pieces(held):
                self._write(piece)

    def _write(self, octets: bytes) -> None:
        try:
            with self._lock:
                # Past the stream's buffer: what it could not write it would keep, try again with every line and at the exit.
                if self._descriptor is not None:
                    while octets:
                        octets = octets[os.write(self._descriptor, octets) :]
                elif self._stream is not None:
                    self._stream.write(octets.decode())
                    self._stream.flush()
        except (OSError, ValueError):
            return  # A full disk or a closed pipe is no reason to stop the mail.


class Entries:
    """The logger under structlog's where the journal is the log. What it does not take goes to the stream, so that nothing is lost."""

    def __init__(self, journal: Journal, lines: Lines) -> None:
        self._journal = journal
        self._lines = lines

    def __call__(self, *_arguments: Any) -> Self:
        return self

    def msg(self, entry: Entry) -> None:
        try:
            self._journal.send(entry.octets)
        except OSError:
            self._lines.msg(entry.line())


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, as many as go into a pipe undivided: another process may write to it, too."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    if piece:
        yield piece


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None
