"""Mail that the API refuses in masses: it fails, and keeps nobody else's waiting."""

from collections import Counter
from pathlib import Path

from tests.contract.dispatch.harness import account, dispatching, mails, opened, quick, scenario, states, until
from tests.support.scripted_api import ScriptedApi, Step


@scenario
async def test_flood_of_refused_mail_delays_nobody_else(tmp_path: Path) -> None:
    """One application's mail is all refused, and each request with it as a whole: another's leaves within a few requests."""
    poison = [f"p{number}" for number in range(200)]
    refused = [Step(status=400, subject=subject, seconds=0.005) for subject in poison]
    async with ScriptedApi(*refused) as api, opened(tmp_path) as spool:
        await spool.put(mails(*poison, client="newsletter"))
        used = account(api.base_url, max_messages_per_request=50, max_requests_in_flight=1)
        async with dispatching(spool, used, settings=quick()) as relay:
            await until(lambda: relay.requests(api, 40))
            await spool.put(mails("password-reset", client="shop"))
            before = len(api.requests)
            records = await relay.finished()
    accepted = [number for number, request in enumerate(api.requests) if request.subjects == ("password-reset",)]

    assert Counter(states(records, poison)) == {"failed": 200}
    assert states(records, ["password-reset"]) == ["sent"]
    assert api.accepted == {"password-reset": 1}
    assert accepted, "it travelled alone, or with what was refused"
    assert accepted[0] <= before + 4


@scenario
async def test_forbidden_mail_does_not_stop_its_account(tmp_path: Path) -> None:
    """403 for a single mail pauses the account, whose fault it usually is; probes take turns, so that the others leave all the same."""
    subjects = ["forbidden", *[f"m{number}" for number in range(10)]]
    async with ScriptedApi(Step(status=403, subject="forbidden")) as api, opened(tmp_path) as spool:
        await spool.put(mails(*subjects))
        async with dispatching(spool, account(api.base_url)) as relay:

            async def others_sent() -> bool:
                return await relay.waiting() == 1

            await until(others_sent)
            api.stand()
            records = await relay.finished()
    assert states(records, subjects) == ["sent"] * 11
    assert api.accepted == dict.fromkeys(subjects, 1)


@scenario
async def test_requests_are_small_while_mail_is_refused_in_masses(tmp_path: Path) -> None:
    """A request of one mail needs no halves: masses of refused mail cost little more than a request each."""
    poison = [f"p{number}" for number in range(200)]
    async with (
        ScriptedApi(*[Step(status=400, subject=subject) for subject in poison]) as api,
        opened(tmp_path) as spool,
    ):
        await spool.put(mails(*poison))
        used = account(api.base_url, max_messages_per_request=50, max_requests_in_flight=1)
        async with dispatching(spool, used) as relay:
            records = await relay.finished()

    assert Counter(states(records, poison)) == {"failed": 200}
    assert len(api.requests) < 340
