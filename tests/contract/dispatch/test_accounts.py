"""What is shown of accounts, and what a 202 says beside that it took the mail."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from qboxrelay.dispatch.report import suppression_status
from tests.contract.dispatch.harness import account, dispatching, mails, opened, scenario
from tests.support.scripted_api import ScriptedApi, Step


@scenario
async def test_type_of_an_account_is_shown(tmp_path: Path) -> None:
    """In the status, in a metric and in the log, so that nobody mistakes one account for the other."""
    with capture_logs() as logs:
        async with ScriptedApi() as api, opened(tmp_path) as spool:
            used = account(api.base_url), account(api.base_url, name="news", type="newsletter")
            async with dispatching(spool, *used) as relay:
                shown = relay.dispatcher.status()
    assert [cast("dict[str, Any]", shown[name])["type"] for name in ("default", "news")] == [
        "transactional",
        "newsletter",
    ]
    assert relay.metric("qboxrelay_account_info", account="news", type="newsletter") == 1
    assert [line["type"] for line in logs if line["event"] == "account.condition"] == ["transactional", "newsletter"]


@scenario
async def test_suppression_pre_check_is_recorded_and_counted(tmp_path: Path) -> None:
    """What the 202 says of suppressed recipients stands in the spool and in the closing line, and is counted by its status."""
    summary = {"status": "checked", "suppressed": 1}
    answer = {"error_code": 0, "message": "OK", "request_id": "r-1", "queued_messages": 1, "messages": []}
    body = json.dumps({**answer, "suppression_summary": summary}).encode()
    with capture_logs() as logs:
        async with ScriptedApi(Step(accept=True, body=body)) as api, opened(tmp_path) as spool:
            async with dispatching(spool, account(api.base_url)) as relay:
                await spool.put(mails("a"))
                await relay.finished()
            stored = cast("Any", spool)._connection.execute("SELECT suppression FROM submissions").fetchall()
    (line,) = [line for line in logs if line["event"] == "submission.sent"]

    assert json.loads(line["suppression"]) == summary
    assert [json.loads(text) for (text,) in stored] == [summary]
    assert relay.metric("qboxrelay_suppression_summaries_total", status="checked") == 1


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ('{"status":"checked"}', "checked"),
        ('{"status":"ignored","n":1}', "ignored"),
        ('"ignored"', "ignored"),
        ('{"status":"new word"}', "other"),
        ('{"status":["checked"]}', "other"),
        ('["checked"]', "other"),
        ("7", "other"),
    ],
)
def test_statuses_are_a_closed_set(summary: str, expected: str) -> None:
    """The documentation shows two and says that there are more: those are counted together."""
    assert suppression_status(summary) == expected
