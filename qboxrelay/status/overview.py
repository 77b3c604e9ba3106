"""The first page: how the relay is now, and how the last hour went.

In: the spool's figures, the history, the accounts' conditions. Out: a page. Never: a question to the network.
"""

from starlette.requests import Request
from starlette.responses import Response

from qboxrelay.model.submission import State
from qboxrelay.spool.queue import Overview, Selection
from qboxrelay.status import history
from qboxrelay.status.chart import DURATIONS, Chart, draw
from qboxrelay.status.history import KEPT, Sample
from qboxrelay.status.site import Site
from qboxrelay.status.words import count, span

_TROUBLES = 5
_LOOK = 500
_SENT = f"qboxrelay_submissions_finished_total:{State.SENT}"
_ANSWER, _WAIT = "qboxrelay_send_request_seconds", "qboxrelay_submission_wait_seconds"
_ERRORS = ("refused", "deferred", "unknown")


async def show_overview(site: Site, request: Request) -> Response:
    totals = await site.queue.overview()
    troubles = await site.queue.select(
        Selection(states=frozenset({State.FAILED, State.HELD})), limit=_TROUBLES, look=_LOOK
    )
    await site.history.catch_up()
    samples = site.history.samples()
    return site.page(
        request,
        "overview.html",
        totals=totals,
        messages=by_state(totals),
        octets=sum(one.bytes for one in totals.totals if one.state in {State.QUEUED, State.SENDING}),
        accepted=history.increase(samples, "qboxrelay_mails_accepted_total"),
        turned_away=history.increase(samples, "qboxrelay_mails_refused_total"),
        sent=history.increase(samples, _SENT),
        charts=charts(samples),
        covered=samples[-1].at - samples[0].at if samples else 0.0,
        troubles=troubles.records,
        readiness=await site.health.readiness(),
        conditions=site.conditions(),
    )


def by_state(totals: Overview) -> dict[str, int]:
    """Over all accounts; every state is there."""
    found = dict.fromkeys((state.value for state in State), 0)
    for one in totals.totals:
        found[one.state] += one.messages
    return found


def charts(samples: list[Sample]) -> list[Chart]:
    hour = KEPT.total_seconds()
    return [
        draw(
            "Mail", "a minute",
            [
                ("accepted", history.per_minute(samples, "qboxrelay_mails_accepted_total")),
                ("sent", history.per_minute(samples, _SENT)),
            ],
            seconds=hour, show=count,
        ),
        draw(
            "Queue", "messages",
            [
                ("waiting", history.waiting(samples, State.QUEUED, State.SENDING)),
                ("held", history.waiting(samples, State.HELD)),
            ],
            seconds=hour, show=count,
        ),
        draw(
            "Time to be sent", "95 of 100 within",
            [
                ("in the spool", history.quantiles(samples, _WAIT, 0.95)),
                ("answer of the API", history.quantiles(samples, _ANSWER, 0.95)),
            ],
            seconds=hour, show=span, tops=DURATIONS,
        ),
        draw(
            "Attempts that failed", "a minute",
            [(word, history.per_minute(samples, f"qboxrelay_attempts_total:{word}")) for word in _ERRORS],
            seconds=hour, show=count,
        ),
    ]  # fmt: skip
