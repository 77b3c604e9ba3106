"""What the doctor sees of Qboxmail's APIs without sending anything: names, certificates, tokens, the clock.

In: accounts, tokens. Out: rows, the Management API's listing. Never: a message. The Send API documents no request that only asks, so it is given
an empty list of messages: documented to be refused with 400 `missing_send_payload`, after the token in its order of work.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from qboxrelay.cli.doctor_certificate import server_row
from qboxrelay.cli.doctor_row import Row, Verdict

if TYPE_CHECKING:
    from qboxrelay.qboxmail.answer import Answer
    from qboxrelay.qboxmail.token import TokenSource
    from qboxrelay.settings.schema import AccountSettings, Settings

_OFF_SECONDS, _WRONG_SECONDS = 30.0, 300.0
_NOT_PROMISED = "the API looks at the token before the payload, by its description; it does not promise it"


async def account_rows(account: "AccountSettings", token: "TokenSource", settings: "Settings") -> AsyncIterator[Row]:
    """DNS, certificate, token and clock of one account's Send API."""
    from qboxrelay.qboxmail.answer import Answer
    from qboxrelay.qboxmail.tls import client_context

    group, parts = f"Send API, account {account.name}", urlsplit(account.base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    tls = client_context(
        ca_file=account.ca_file,
        certificate_file=account.client_certificate_file,
        certificate_key_file=account.client_key_file,
    )
    if account.proxy:
        yield Row(group, "proxy", Verdict.OK, "the proxy looks names up and connects")
    else:
        yield await _name(group, host, port)
        if parts.scheme == "https":
            yield await server_row(group, host, port, tls)
        else:
            yield Row(
                group,
                "certificate",
                Verdict.WARN,
                f"{host} is asked without TLS",
                "this is for tests on loopback alone",
            )
    answer = await _ask(account, token, settings)
    if not isinstance(answer, Answer):
        yield Row(group, "reachable", Verdict.FAIL, answer, "look at the network, firewall, proxy and base_url")
        yield Row(group, "token", Verdict.UNKNOWN, "the API gave no answer")
        return
    yield Row(group, "reachable", Verdict.OK, f"{account.base_url} answers, HTTP {answer.status}")
    yield _token(group, account, answer)
    yield _clock(group, answer)


async def _name(group: str, host: str, port: int) -> Row:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(15):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        text = f"{host} has no address: {str(error) or 'no answer within 15 seconds'}"
        return Row(group, "DNS", Verdict.FAIL, text, "look at /etc/resolv.conf, and at base_url")
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return Row(
        group, "DNS", Verdict.OK, f"{host} is {', '.join(addresses)} ({(time.perf_counter() - began) * 1000:.0f} ms)"
    )


async def _ask(account: "AccountSettings", token: "TokenSource", settings: "Settings") -> "Answer | str":
    """The answer to a request without a message, or why there is none."""
    from qboxrelay.qboxmail.answer import Answer
    from qboxrelay.qboxmail.send import SendClient
    from qboxrelay.qboxmail.tls import client_context

    client = SendClient(
        base_url=account.base_url,
        token=token,
        deadline=settings.delivery.request_deadline,
        connect_timeout=settings.delivery.connect_timeout,
        max_connections=1,
        monotonic=time.monotonic,
        tls=client_context(
            ca_file=account.ca_file,
            certificate_file=account.client_certificate_file,
            certificate_key_file=account.client_key_file,
        ),
        proxy=account.proxy or None,
    )
    try:
        answer = await client.post([])
    finally:
        await client.close()
    return answer if isinstance(answer, Answer) else answer.text


def _token(group: str, account: "AccountSettings", answer: "Answer") -> Row:
    slug, text = _words(answer)
    said = f"HTTP {answer.status}{f' {slug}' if slug else ''}{f': {text}' if text else ''}"
    if answer.status == 401:
        return Row(
            group,
            "token",
            Verdict.FAIL,
            said,
            f"write a Send API token of this account to {account.token_file or 'its variable'}",
        )
    if answer.status == 403:
        return Row(
            group,
            "token",
            Verdict.FAIL,
            said,
            "the account, or an allow-list of it or its token, does not let this machine send",
        )
    if answer.status == 400 and slug == "missing_send_payload":
        return Row(group, "token", Verdict.OK, f"taken, as far as can be known without sending ({_NOT_PROMISED})")
    return Row(
        group, "token", Verdict.UNKNOWN, said, "only a message shows it: qboxrelay send-test --to YOU@EXAMPLE.COM"
    )


def _words(answer: "Answer") -> tuple[str, str]:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(body, dict):
        return "", ""
    slug, text = (" ".join(str(body.get(name) or "").split())[:200] for name in ("error", "message"))
    return slug, text


def _clock(group: str, answer: "Answer") -> Row:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        off = (datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds()
    except (ValueError, TypeError):
        return Row(group, "clock", Verdict.UNKNOWN, "the API sent no Date to compare with", "see: timedatectl")
    found = f"{abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} the API's"
    if abs(off) > _WRONG_SECONDS:
        return Row(
            group,
            "clock",
            Verdict.FAIL,
            found,
            "set it (timedatectl set-ntp true): ages, certificates and dates depend on it",
        )
    if abs(off) > _OFF_SECONDS:
        return Row(group, "clock", Verdict.WARN, found, "keep it right: timedatectl set-ntp true")
    return Row(group, "clock", Verdict.OK, found)
