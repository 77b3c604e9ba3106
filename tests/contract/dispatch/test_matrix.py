"""Status, body, timing and batch size against each other: how often each mail is accepted, and how it ends.

The first request meets the fault, everything after it is well. So a deferred mail is accepted once, an unknown one as often as
the API took it, and a refused one never.
"""

import asyncio
from pathlib import Path

import pytest

from tests.contract.dispatch.harness import account, dispatching, mails, opened, states
from tests.support.scripted_api import ScriptedApi, Step

PAGE = b"<!doctype html><title>Please log in</title>"
BODIES: dict[str, bytes | None] = {
    "documented": None,
    "empty": b"",
    "page": PAGE,
    "half JSON": b'{"error_code": 0, "messages": [',
    "other JSON": b'["error_code", 0]',
    "odd types": b'{"error_code": [], "message": {}, "error": 7, "request_id": [], "messages": 3, "queued_messages": null}',
}
STATUSES = (
    200,
    202,
    204,
    301,
    302,
    307,
    400,
    401,
    403,
    404,
    405,
    408,
    413,
    418,
    422,
    425,
    429,
    500,
    502,
    503,
    504,
    599,
)
ENDINGS_WITHOUT_ANSWER = ("before_body", "after_body", "reset", "in_status", "after_headers", "in_body", "hangs")
SIZES = (1, 2, 5)


def refused_alone(status: int, body: str) -> bool:
    """What fails a mail that travelled alone: the API's own words, or the one status that only size explains."""
    return (
        status == 413
        or (status in {400, 422} and body == "documented")
        or (status == 400 and body not in {"page", "documented"})
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("body", BODIES)
def test_every_status_with_every_body(body: str, size: int, tmp_path: Path) -> None:
    """No status and no body loses a mail, accepts it twice or leaves it waiting: only a clear refusal fails it."""

    async def main() -> None:
        async with (
            ScriptedApi() as api,
            opened(tmp_path) as spool,
            dispatching(spool, account(api.base_url)) as relay,
        ):
            for status in STATUSES:
                subjects = [f"s{status}-{number}" for number in range(size)]
                api.script(first_answer(status, body))
                await spool.put(mails(*subjects))
                records = await relay.finished()
                fails = size == 1 and refused_alone(status, body)
                assert [api.accepted[subject] for subject in subjects] == [0 if fails else 1] * size, status
                assert states(records, subjects) == ["failed" if fails else "sent"] * size, status

    asyncio.run(main())


def first_answer(status: int, body: str) -> Step:
    content = b"" if status == 204 else BODIES[body]
    took = status in {200, 202} and body == "documented"
    return Step(
        status=status, body=content, headers={"Content-Type": "text/html"} if body == "page" else {}, accept=took
    )


@pytest.mark.parametrize("accept", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ending", ENDINGS_WITHOUT_ANSWER)
def test_no_answer(ending: str, size: int, accept: bool, tmp_path: Path) -> None:
    """Without a readable 2xx the outcome is unknown: tried again, so accepted twice exactly where the API had taken it."""

    async def main() -> None:
        subjects = [f"m{number}" for number in range(size)]
        took = accept and ending != "before_body"
        async with ScriptedApi(Step(ending=ending, accept=took)) as api, opened(tmp_path) as spool:
            await spool.put(mails(*subjects))
            async with dispatching(spool, account(api.base_url)) as relay:
                records = await relay.finished()
            assert {api.accepted[subject] for subject in subjects} == {2 if took else 1}
            assert {record.state.value for record in records.values()} == {"sent"}
            assert relay.metric("qboxrelay_attempts_total", outcome="unknown") == size
            assert relay.metric("qboxrelay_maybe_duplicates_total") == size

    asyncio.run(main())
