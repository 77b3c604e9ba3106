"""The inbox page: what arrived, shown safely.

In: accepted messages. Out: HTML pages without scripts. Never: a byte of a mail as markup of ours: HTML bodies are shown in a sandboxed
frame of another origin, without scripts, forms or anything from the network.
"""

import base64
import re
from datetime import UTC, datetime
from email.utils import formataddr
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from qboxrelay.sandbox.attachments import disposition_of
from qboxrelay.sandbox.ledger import Received
from qboxrelay.sandbox.state import state_of

_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGE = _SAFE | {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
}
_MAIL = _SAFE | {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
}
_FILE = _SAFE | {"Content-Security-Policy": "sandbox; default-src 'none'"}
_CID = re.compile(r"cid:([^\s\"'<>)]+)", re.IGNORECASE)
_IMAGE = re.compile(r"image/[\w.+-]+")
_SHOWN = 200


def people(value: object) -> str:
    """An address field as one line of text."""
    items = value if isinstance(value, list) else [value] if value else []
    return ", ".join(
        formataddr((item.get("name") or "", item.get("address", "")), charset="utf-8")
        if isinstance(item, dict)
        else str(item)
        for item in items
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC"


_templates = Environment(loader=PackageLoader("qboxrelay.sandbox", "pages"), autoescape=True)
_templates.filters |= {"people": people, "moment": _moment, "disposition": disposition_of}


async def index(request: Request) -> Response:
    ledger = state_of(request).ledger
    newest = list(ledger.inbox)[-_SHOWN:][::-1]
    return _html("index.html", entries=newest, total=ledger.accepted, requests=len(ledger.requests), shown=_SHOWN)


async def show(request: Request) -> Response:
    entry = _find(request)
    return _html("message.html", entry=entry, message=entry.message) if entry else _missing()


async def html_body(request: Request) -> Response:
    entry = _find(request)
    if entry is None or not entry.message.get("html_body"):
        return _missing()
    body = _with_images(str(entry.message["html_body"]), entry.message.get("attachments") or [])
    return HTMLResponse(body, headers=_MAIL)


async def attachment(request: Request) -> Response:
    """Always as a download without a type, whatever the mail calls it."""
    entry = _find(request)
    attachments = (entry.message.get("attachments") or []) if entry else []
    number = request.path_params["number"]
    if number >= len(attachments):
        return _missing()
    name = quote(attachments[number]["filename"], safe="")
    headers = _FILE | {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    content = base64.b64decode(attachments[number]["content"])
    return Response(content, media_type="application/octet-stream", headers=headers)


async def style(_: Request) -> Response:
    return Response(_style(), media_type="text/css", headers=_SAFE)


@cache
def _style() -> bytes:
    return (files("qboxrelay.sandbox") / "pages" / "inbox.css").read_bytes()


def _with_images(body: str, attachments: list[dict[str, Any]]) -> str:
    """`cid:` references as data URLs; only images, so that nothing else gets into the frame."""
    images = {}
    for item in attachments:
        kind = str(item["content_type"]).partition(";")[0].strip()
        if item.get("content_id") and _IMAGE.fullmatch(kind):
            images[str(item["content_id"]).strip("<>")] = f"data:{kind};base64,{item['content']}"
    return _CID.sub(lambda found: images.get(unquote(found[1]), found[0]), body)


def _find(request: Request) -> Received | None:
    return state_of(request).ledger.find(request.path_params["message_id"])


def _html(template: str, **values: object) -> Response:
    return HTMLResponse(_templates.get_template(template).render(**values), headers=_PAGE)


def _missing() -> Response:
    return HTMLResponse(_templates.get_template("missing.html").render(), 404, headers=_PAGE)


ROUTES = [
    Route("/", index),
    Route("/inbox.css", style),
    Route("/messages/{message_id}", show),
    Route("/messages/{message_id}/html", html_body),
    Route("/messages/{message_id}/attachments/{number:int}", attachment),
]
