"""The dispatcher against the emulated Qboxmail: its rate, its entries in every order, its flapping, its certificate."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from qboxrelay.model.submission import State
from qboxrelay.qboxmail.token import FixedToken
from qboxrelay.sandbox.config import SandboxConfig
from qboxrelay.sandbox.server import SandboxServer
from qboxrelay.settings.types import Secret
from tests.contract.dispatch.harness import (
    CERTIFICATE,
    FINAL,
    account,
    dispatching,
    mails,
    opened,
    quick,
    scenario,
    states,
    until,
)


class Sandbox:
    """A sandbox that listens, and its ledger."""

    def __init__(self, server: SandboxServer, client: httpx.AsyncClient) -> None:
        self.base_url = f"{server.base_url}/v1"
        self.token = FixedToken(Secret(server.send_token))
        self._client = client

    async def accepted(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._client.get("/sandbox/messages?limit=100000")).json()
        return found

    async def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._client.get("/sandbox/requests?limit=100000")).json()
        return found

    async def faults(self, *rules: dict[str, Any]) -> None:
        (await self._client.delete("/sandbox/faults")).raise_for_status()
        (await self._client.post("/sandbox/faults", json=list(rules))).raise_for_status()


@asynccontextmanager
async def sandbox(**config: Any) -> AsyncIterator[Sandbox]:
    server = SandboxServer(SandboxConfig(port=0, **config))
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, verify=False) as client:
            yield Sandbox(server, client)
    finally:
        await server.stop()


@pytest.mark.parametrize("how", ["reversed", "fewer", "more", "none", "no_ids", "one_per_recipient"])
@scenario
async def test_ids_are_right_or_absent(how: str, tmp_path: Path) -> None:
    """However the entries of a 202 come, each mail is accepted once, and an id in the spool is that of its own message."""
    subjects = ["a", "b", "c"]
    async with sandbox() as api, opened(tmp_path) as spool:
        await api.faults({"action": "entries", "how": how})
        await spool.put(mails(*subjects))
        async with dispatching(spool, account(api.base_url), token=api.token) as relay:
            records = await relay.finished()
        ids = {entry["message"]["subject"]: entry["message_id"] for entry in await api.accepted()}
        requests = await api.requests()
    assert states(records, subjects) == ["sent"] * 3
    assert len(requests) == 1
    for subject in subjects:
        assert records[subject].message_id in {ids[subject], None}
    known = sum(records[subject].message_id is not None for subject in subjects)
    assert known == {"fewer": 2, "none": 0, "no_ids": 0}.get(how, 3)


@scenario
async def test_documented_rate_is_never_exceeded(tmp_path: Path) -> None:
    """One mail a request, as fast as it may: the API, which counts for itself, refuses none for its rate."""
    async with sandbox(requests_per_second=10) as api, opened(tmp_path) as spool:
        used = account(api.base_url, requests_per_second=10.0, max_messages_per_request=1)
        await spool.put(mails(*[f"m{number}" for number in range(25)]))
        settings = quick(request_deadline="10s", connect_timeout="5s")
        async with dispatching(spool, used, settings=settings, token=api.token) as relay:
            await relay.finished()
        statuses = Counter(request["status"] for request in await api.requests())
    assert statuses == {202: 25}


@scenario
async def test_flapping_api(tmp_path: Path) -> None:
    """Requests fail at random while mail arrives: at every moment each mail is somewhere, and only what was unknown came twice."""
    subjects = [f"m{number:03}" for number in range(120)]
    faults = [
        # First: another fault in front of it could take the mail and keep its answer.
        {"action": "status", "status": 400, "subject": "m077"},
        {"action": "status", "status": 503, "share": 0.15, "seed": 1},
        {"action": "drop_after_body", "accept": True, "share": 0.1, "seed": 2},
        {"action": "drop_after_body", "share": 0.1, "seed": 3},
        {"action": "status", "status": 429, "headers": {"Retry-After": "0"}, "share": 0.1, "seed": 4},
    ]
    async with sandbox(requests_per_second=1000) as api, opened(tmp_path) as spool:
        await api.faults(*faults)
        used = account(api.base_url, max_messages_per_request=7)
        async with dispatching(spool, used, token=api.token, settings=quick(request_deadline="2s")) as relay:
            for put, subject in enumerate(subjects, start=1):
                await spool.put(mails(subject))
                assert sum((await spool.depth()).messages.values()) == put
            records = await relay.finished()
            maybe_twice = relay.metric("qboxrelay_maybe_duplicates_total")
        times = Counter(entry["message"]["subject"] for entry in await api.accepted())
    assert {state for record in records.values() if (state := record.state) not in FINAL} == set()
    assert [subject for subject in subjects if records[subject].state is State.FAILED] == ["m077"]
    assert set(times) == set(subjects) - {"m077"}
    assert times.total() - len(times) <= maybe_twice


@scenario
async def test_certificate_nobody_signed(tmp_path: Path) -> None:
    """A certificate that is not trusted is never spoken to; with its authority named, mail leaves."""
    files = {"certificate": CERTIFICATE}
    async with sandbox(**files) as api, opened(tmp_path) as spool:
        await spool.put(mails("a"))
        settings = quick(request_deadline="5s", connect_timeout="3s")
        async with dispatching(spool, account(api.base_url, ca_file=None), token=api.token, settings=settings) as relay:
            await until(lambda: relay.happened("qboxrelay_attempts_total", 1, outcome="deferred"))
            (record,) = (await relay.records()).values()
        assert "certificate verify failed" in (record.text or "").lower()
        assert not await api.requests()
        trusting = account(api.base_url, ca_file=CERTIFICATE, client_certificate_file=CERTIFICATE)
        async with dispatching(spool, trusting, token=api.token, settings=settings) as relay:
            records = await relay.finished()
    assert states(records, ["a"]) == ["sent"]


@scenario
async def test_flood_of_one_application(tmp_path: Path) -> None:
    """Thousands of newsletters wait; another application's mail is in the next request."""
    async with sandbox(requests_per_second=1000) as api, opened(tmp_path) as spool:
        await spool.put(mails(*[f"n{number}" for number in range(400)], client="newsletter"))
        used = account(api.base_url, max_messages_per_request=20, max_requests_in_flight=1)
        await api.faults({"action": "delay", "seconds": 0.02})
        async with dispatching(spool, used, token=api.token, settings=quick(request_deadline="5s")) as relay:

            async def begun() -> bool:
                return bool(await api.requests())

            await until(begun)
            await spool.put(mails("password-reset", client="shop"))
            before = len(await api.requests())
            await relay.finished()
        accepted = await api.accepted()
        order = list(dict.fromkeys(entry["request_id"] for entry in accepted))
        (reset,) = [entry for entry in accepted if entry["message"]["subject"] == "password-reset"]
    assert order.index(reset["request_id"]) <= before + 1
