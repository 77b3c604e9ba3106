"""What a form of ours sent, and whether it is an act of the one whose cookie came with it.

In: POST requests. Out: `Form`, or a refusal. Never: more bytes than a form of ours has.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request

_LARGEST = 64 * 1024
_TYPE = "application/x-www-form-urlencoded"


class FormRefused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The form is not taken; the text says why, and what to do. `status` is of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Form:
    """Fields by name, in their order."""

    fields: dict[str, list[str]]

    def one(self, name: str) -> str:
        """The last of that name; empty when there is none."""
        return self.fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        return list(dict.fromkeys(self.fields.get(name, [])))


async def read_form(request: Request) -> Form:
    """Raises `FormRefused`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise FormRefused(415, "This is no form of this page.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise FormRefused(413, "This is too much for one form: choose fewer messages.")
    try:
        return Form(parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=1000))
    except ValueError:
        raise FormRefused(400, "This is no form of this page.") from None
