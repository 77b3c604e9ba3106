"""What the log says of a request that failed, or whose answer says less than it should."""

import json
from pathlib import Path

from structlog.testing import capture_logs

from tests.contract.dispatch.harness import account, dispatching, mails, opened, quick, scenario, until
from tests.support.scripted_api import ScriptedApi, Step


@scenario
async def test_an_outage_says_one_line_for_a_request(tmp_path: Path) -> None:
    """Fifty mails whose request got 503 are one warning with their number; each one's own line is for debugging."""
    subjects = [f"m{number}" for number in range(50)]
    with capture_logs() as logs:
        async with ScriptedApi(Step(status=503)) as api, opened(tmp_path) as spool:
            await spool.put(mails(*subjects))
            async with dispatching(spool, account(api.base_url), settings=quick(retry_schedule=["10m"])) as relay:

                async def told() -> bool:
                    return await relay.requests(api, 1) and any(line["event"] == "request.deferred" for line in logs)

                await until(told)
    lines = [line for line in logs if line["event"] == "request.deferred"]
    single = [line for line in logs if line["event"] == "attempt.deferred"]

    assert [(line["log_level"], line["count"], line["status"]) for line in lines] == [("warning", 50, 503)]
    assert lines[0]["next_attempt_at"] is not None
    assert {line["log_level"] for line in single} == {"debug"}
    assert len({line["submission"] for line in single}) == 50
    assert lines[0]["submission"] in {line["submission"] for line in single}


@scenario
async def test_ids_that_nobody_can_match_are_said(tmp_path: Path) -> None:
    """A 202 with fewer entries than messages: all are sent and never again, and one line tells how many have no message_id."""
    answer = {
        "error_code": 0,
        "request_id": "r-7",
        "messages": [{"error_code": 0, "message_id": "i", "to": "b@example.net"}],
    }
    with capture_logs() as logs:
        async with ScriptedApi(Step(body=json.dumps(answer).encode())) as api, opened(tmp_path) as spool:
            await spool.put(mails("a", "b", "c"))
            async with dispatching(spool, account(api.base_url)) as relay:
                records = await relay.finished()
                await spool.put(mails("d"))
                await relay.finished()
    (line,) = [line for line in logs if line["event"] == "request.unmatched"]

    assert [records[name].message_id for name in "abc"] == [None, "i", None]
    assert (line["log_level"], line["count"], line["of"], line["request_id"]) == ("warning", 2, 3, "r-7")
    assert len(api.requests) == 2
