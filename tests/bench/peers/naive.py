"""What is usually written: aiosmtpd, the standard library's parser, httpx, one POST a mail, nothing stored."""

import asyncio
import base64
import sys
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
from aiosmtpd.smtp import SMTP

from tests.support.processes import HOST


class Handler:
    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.AsyncClient(trust_env=False)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        message = {
            "from": str(mail["From"]),
            "to": envelope.rcpt_tos,
            "subject": str(mail["Subject"] or ""),
            "headers": {name: str(value) for name, value in mail.items()},
            "text_body": text.get_content() if text is not None else "",
            "html_body": html.get_content() if html is not None else None,
            "attachments": [
                {"name": part.get_filename(), "content": base64.b64encode(bytes(part.get_content())).decode()}
                for part in mail.iter_attachments()
            ],
        }
        answer = await self._client.post(self._url, json={"messages": [message]})
        return "250 OK" if answer.status_code == 202 else "451 later"


async def serve(port: int, url: str) -> None:
    loop = asyncio.get_running_loop()
    handler = Handler(url)
    await loop.create_server(lambda: SMTP(handler, hostname="naive", loop=loop), HOST, port, backlog=511)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
