"""The journal of systemd, by its native protocol: an event's fields become fields that `journalctl` searches.

In: the fields of one event. Out: one datagram (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). Never: a wait of more than a moment for a
journal that does not read, or a field of the journal's own (those begin with an underscore).
"""

import errno
import fcntl
import os
import re
import socket
import struct
from array import array
from pathlib import Path
from typing import Any

import orjson

from qboxrelay.telemetry.rendering import json_line, plain, shown

SOCKET = Path("/run/systemd/journal/socket")

_PRIORITIES = {"debug": "7", "info": "6", "warning": "4", "error": "3", "critical": "2"}
"""syslog(3)."""
_HEAD = frozenset({"timestamp", "level", "event", "exception"})
_NAMES = {"transaction": "TRANSACTION_ID", "submission": "SUBMISSION_ID"}
_NO_NAME = re.compile(r"[^A-Z0-9_]")
_MAX_NAME = 64
_PATIENCE_SECONDS = 0.5
_SEND_BUFFER = 8 * 1024 * 1024
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Journal:
    """A socket of the journal. `send` may be called from any thread. Making one raises OSError where no journal listens."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
            asking.connect(self._path)
        # Not connected: a journal that is restarted is found again by its name.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._socket.settimeout(_PATIENCE_SECONDS)

    def send(self, entry: bytes) -> None:
        """Raises OSError; then the journal has nothing of it."""
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
                raise
            self._send_file(entry)

    def _send_file(self, entry: bytes) -> None:
        """What no datagram holds goes as a sealed file in memory, whose descriptor is sent."""
        descriptor = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(entry)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))]
            self._socket.sendmsg([b""], handed, 0, self._path)
        finally:
            os.close(descriptor)

    def __del__(self) -> None:
        # It lives as long as the logging that was configured with it, which nobody ends.
        if hasattr(self, "_socket"):
            self._socket.close()


def journal_entry(fields: dict[str, Any]) -> bytes:
    """One event in the protocol's form: text for the eye in MESSAGE, and each field under a name of its own."""
    pairs = [
        ("MESSAGE", _message(fields)),
        ("PRIORITY", _PRIORITIES.get(str(fields.get("level")), "6")),
        ("SYSLOG_IDENTIFIER", "qboxrelay"),
        ("QBOXRELAY_EVENT", str(fields.get("event", ""))),
    ]
    for name, value in fields.items():
        if name not in _HEAD or name == "exception":
            pairs += [(_field(name), text) for text in _texts(value)]
    return b"".join(_line(name, value.encode("utf-8", "backslashreplace")) for name, value in pairs)


def _message(fields: dict[str, Any]) -> str:
    said = [str(fields.get("event", ""))]
    for name, value in fields.items():
        if name not in _HEAD and value is not None:
            text = str(shown(name, value))
            said.append(f"{name}={orjson.dumps(text).decode() if ' ' in text or not text else text}")
    return "\n".join([" ".join(said), *([str(fields["exception"])] if "exception" in fields else [])])


def _field(name: str) -> str:
    return ("QBOXRELAY_" + (_NAMES.get(name) or _NO_NAME.sub("_", name.upper())))[:_MAX_NAME]


def _texts(value: Any) -> list[str]:
    """A field of the journal may stand several times: so does each item of a list."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int | float):
        return [str(value)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [json_line(dict(value))]
    return _texts(plain(value))


def _line(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value)
    return b"%s=%s\n" % (name.encode(), value)
