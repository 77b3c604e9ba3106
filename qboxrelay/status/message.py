"""One submission: who, when, each attempt, what operators did.

In: an id. Out: a page. Never: content; a subject where the log may not show it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from qboxrelay.model.submission import State
from qboxrelay.spool.queue import POSSIBLE, Act, Attempt, Story
from qboxrelay.status.site import HEADERS, Site
from qboxrelay.status.words import span


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the timeline. `after` is how long after the line before it; `kind` colours it."""

    at: datetime
    title: str
    text: str = ""
    kind: str = ""
    after: timedelta | None = None
    by: str = ""


async def show_message(site: Site, request: Request) -> Response:
    """A submission by its id; a transaction of one submission leads there, one of several lists them."""
    id_ = request.path_params["id"]
    records = await site.queue.find(id_)
    if len(records) > 1:
        return site.page(request, "transaction.html", id=id_, records=records)
    if records and records[0].id != id_:
        return RedirectResponse(f"/messages/{records[0].id}", 303, headers=HEADERS)
    story = await site.queue.story(id_) if records else None
    if story is None:
        return site.page(request, "missing.html", status=404, id=id_, handled=await site.queue.handled(id_))
    acts = [act for act in Act if story.record.state in POSSIBLE[act]]
    return site.page(request, "message.html", story=story, record=story.record, events=timeline(story), acts=acts)


def timeline(story: Story) -> list[Event]:
    """What happened, oldest first, and what is to come."""
    record = story.record
    whom = story.client_user or record.client_address or "the relay itself"
    events = [Event(at=record.received_at, title="Received", text=f"from {whom}")]
    if story.stored_at is not None:
        events.append(Event(at=story.stored_at, title="Stored", text=f"for the account {record.account}", kind="good"))
    for attempt in story.attempts:
        events += _attempt(attempt)
    events += [
        Event(at=one.at, title=one.what.capitalize(), text=f"it was {one.before}" if one.before else "", by=one.by)
        for one in story.handled
    ]
    if record.state is State.QUEUED and record.next_attempt_at is not None:
        events.append(Event(at=record.next_attempt_at, title="Next attempt", kind="future"))
    events.sort(key=lambda event: event.at)
    return [
        Event(at=now.at, title=now.title, text=now.text, kind=now.kind, by=now.by, after=_after(before, now))
        for before, now in zip([None, *events], events, strict=False)
    ]


def _after(before: Event | None, now: Event) -> timedelta | None:
    return None if before is None else now.at - before.at


def _attempt(attempt: Attempt) -> list[Event]:
    events = []
    if attempt.started_at is not None:
        others = f"in a request of {attempt.messages} messages" if attempt.messages > 1 else "in a request of its own"
        text = others if attempt.messages else ""
        events.append(Event(at=attempt.started_at, title=f"Attempt {attempt.number}", text=text))
    if attempt.ended_at is not None:
        kind = {"accepted": "good", "refused": "bad", "unknown": "warn", "deferred": "warn"}.get(attempt.outcome or "")
        title = (attempt.outcome or "no answer").capitalize()
        events.append(Event(at=attempt.ended_at, title=title, text=_answer(attempt), kind=kind or ""))
    return events


def _answer(attempt: Attempt) -> str:
    parts = (
        f"HTTP {attempt.status}" if attempt.status else "",
        attempt.reason,
        f"answered after {span(attempt.answer_seconds)}" if attempt.answer_seconds is not None else "",
    )
    return ", ".join(filter(None, parts))
