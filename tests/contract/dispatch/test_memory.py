"""A machine that has too little memory for a request as large as it may be."""

from pathlib import Path
from typing import Any, cast

from qboxrelay.model.submission import Batch
from qboxrelay.spool.port import Spool, SpoolShortOfMemory
from tests.contract.dispatch.harness import account, dispatching, mails, opened, scenario, states
from tests.support.scripted_api import ScriptedApi


class Narrow:
    """A real spool from which no more than one mail at a time can be read."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    async def claim(self, *arguments: Any, max_messages: int, **named: Any) -> Batch | None:
        if max_messages > 1:
            raise SpoolShortOfMemory("the spool had too little memory")
        return await self._spool.claim(*arguments, max_messages=max_messages, **named)


@scenario
async def test_a_claim_that_is_too_much_is_followed_by_a_smaller_one(tmp_path: Path) -> None:
    """What cannot be read together is read one by one: mail does not wait until there is more memory."""
    async with ScriptedApi() as api, opened(tmp_path) as spool:
        await spool.put(mails("a", "b"))
        async with dispatching(cast("Spool", Narrow(spool)), account(api.base_url)) as relay:
            records = await relay.finished()
    assert states(records, ["a", "b"]) == ["sent", "sent"]
    assert api.accepted == {"a": 1, "b": 1}
