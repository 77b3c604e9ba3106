"""How far a request got: whether any of it reached the wire, and how long connecting and answering took.

In: the trace events of httpcore. Out: times, and whether a failure is deferred (nothing was sent) or unknown. Never: a claim
that nothing was sent when a byte of the request was.
"""

from collections.abc import Callable, Mapping
from typing import Any

from qboxrelay import failpoints
from qboxrelay.model.outcome import Deferred, Unknown
from qboxrelay.qboxmail.connections import Handshake


class Wire:
    """One request's way. httpcore names its events `connection.connect_tcp.started`, `http11.send_request_headers.started`, …"""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started = monotonic()
        self._sent_at: float | None = None
        self._handshake = Handshake()
        self.answer_seconds: float | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started") and not _is_connect(info):
            failpoints.reach("before-post")
            self._sent_at = self._monotonic()
        if event.endswith("send_request_body.complete") and not _is_connect(info):
            failpoints.reach("after-post")
        await self._handshake.trace(event, info)

    def answered(self) -> None:
        if self._sent_at is not None:
            self.answer_seconds = self._monotonic() - self._sent_at

    @property
    def connect_seconds(self) -> float | None:
        return None if self._sent_at is None else self._sent_at - self._started

    def failure(self, reason: str, text: str) -> Deferred | Unknown:
        if self._sent_at is None:
            return Deferred(reason="connect" if reason == "timeout" else reason, text=text)
        return Unknown(reason=reason, text=text)


def _is_connect(info: Mapping[str, Any]) -> bool:
    """A proxy's CONNECT carries nothing of the mail."""
    return bytes(getattr(info.get("request"), "method", b"")) == b"CONNECT"
