"""What the pages show, and what they never show."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from qboxrelay.settings.schema import Settings
from qboxrelay.spool.port import Depth, Spool, SpoolUnreachable
from qboxrelay.spool.queue import Overview, Queue
from qboxrelay.status.messages import Asked
from tests.contract.spool.harness import ACCEPTED, START, failed, mail, scenario, sent, taken
from tests.contract.status.harness import EVERY_PAGE, OneDomain, hostile, pages, settings

_ID = re.compile(r'href="/messages/([^"?]+)"')


def shown(page: str) -> list[str]:
    """The ids in a page's list."""
    return list(dict.fromkeys(_ID.findall(page)))


@scenario
async def test_overview_has_figures_charts_and_troubles(tmp_path: Path) -> None:
    """Each state is counted, each account's condition told with its reason, each chart said in words, the latest troubles listed."""
    async with pages(tmp_path) as site:
        for _ in range(3):
            await site.history.sample()
            site.spools.clock.advance(timedelta(seconds=10))
        text = await site.text("/")
        assert shown(text) == ["held-1", "failed-1"]
        for state in ("waiting", "held", "failed"):
            assert re.search(rf'<a href="/messages\?state={state}">1</a>', text), state
        assert "does not send (quota, for 90 s): &lt;i&gt;monthly quota&lt;/i&gt;. Tried again in 3.5 s" in text
        assert "Accepting mail" in text
        assert "Queue over the last hour. waiting: now 1, at most 1; held: now 1, at most 1." in text
        assert text.count('role="img"') == 4


QUEUE: dict[str, dict[str, object]] = {
    "one": {"recipients": ("bob@example.net",), "message_id_header": "<unique@example.com>"},
    "two": {"recipients": ("carol@example.org",), "client_address": "192.0.2.9", "client_user": "erp"},
    "three": {"recipients": ("dave@example.org",), "received_at": START - timedelta(days=2)},
    "four": {"account": "news", "envelope_sender": "shop@example.org", "from_address": "shop@example.org"},
}


async def some(spool: Spool) -> None:
    """One was sent, two failed, three and four wait."""
    await spool.put([replace(mail("one"), **QUEUE["one"]), replace(mail("two"), **QUEUE["two"])])  # type: ignore[arg-type]
    batch = await taken(spool)
    first, second = batch.submissions
    await spool.record(batch, ACCEPTED, [sent(first), failed(second)])
    await spool.put([replace(mail(name), **QUEUE[name]) for name in ("three", "four")])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["four", "three", "two"]),
        ("?state=all", ["four", "three", "two", "one"]),
        ("?state=waiting", ["four", "three"]),
        ("?state=failed", ["two"]),
        ("?state=sent", ["one"]),
        ("?state=held", []),
        ("?state=nonsense", ["four", "three", "two"]),
        ("?q=one", ["one"]),
        ("?q=one-1", ["one"]),
        ("?q=%20two%20", ["two"]),
        ("?q=request-1", ["two", "one"]),
        ("?q=one-1@api", ["one"]),
        ("?q=unique@example.com", ["one"]),
        ("?q=%3Cunique@example.com%3E", ["one"]),
        ("?q=Bob@Example.net", ["one"]),
        ("?q=bob@example.net&state=waiting", []),
        ("?q=shop@example.org", ["four"]),
        ("?q=no+such+field", ["two"]),
        ("?q=%25", []),
        ("?q=%22%27;--", []),
        ("?q=nothing-like-it", []),
        ("?account=news", ["four"]),
        ("?domain=example.org&state=all", ["four", "three", "two"]),
        ("?domain=@EXAMPLE.net&state=all", ["four", "one"]),
        ("?client=192.0.2.9&state=all", ["two"]),
        ("?error=no+such", ["two"]),
        ("?newer=1d&state=all", ["four", "two", "one"]),
        ("?before=1", []),
        ("?before=nonsense", ["four", "three", "two"]),
        ("?before=99999999999999999999", ["four", "three", "two"]),
    ],
)  # fmt: skip
@scenario
async def test_search_and_filters(tmp_path: Path, query: str, found: list[str]) -> None:
    """By any id, a recipient, a sender, words of the answer; by state, account, domain, client, age; together they narrow."""
    async with pages(tmp_path, fill=some) as site:
        assert shown(await site.text(f"/messages{query}")) == [f"{name}-1" for name in found]


@scenario
async def test_pages_lead_on(tmp_path: Path) -> None:
    """Fifty on each, none twice, none left out; filters stay."""

    async def many(spool: Spool) -> None:
        await spool.put([mail(f"m{number:03}") for number in range(120)])

    async with pages(tmp_path, fill=many) as site:
        path, found = "/messages?state=waiting&account=default", []
        for _ in range(3):
            text = await site.text(path)
            found += shown(text)
            following = re.search(r'class="button" href="(/messages\?[^"]+)"', text)
            path = following[1].replace("&amp;", "&") if following else ""
        assert found == [f"m{number:03}-1" for number in reversed(range(120))]
        assert path == "" or shown(await site.text(path)) == []


def test_a_query_is_bounded() -> None:
    """However long it is."""
    asked = Asked.of({"q": "x" * 10_000, "domain": "y" * 10_000, "before": "-1"})
    assert (len(asked.text), len(asked.domain), asked.before) == (200, 200, None)


@scenario
async def test_a_message_tells_its_story(tmp_path: Path) -> None:
    """Facts, timeline, attempts, and where its transaction leads."""
    async with pages(tmp_path) as site:
        text = await site.text("/messages/failed", follow_redirects=True)
        for said in ("failed-1", "printer", "192.0.2.1", "request-1", "validation_error", "no such field", "HTTP 202"):
            assert said in text, said
        assert "Received</strong>, from 192.0.2.1" in text
        assert text.index("Attempt 1</strong>") < text.index("Refused</strong>")
        redirect = await site.http.get("/messages/failed")
        assert redirect.headers["location"] == "/messages/failed-1"
        assert "there is no mail" in (await site.text("/messages/unheard-of", status=404)).lower()


@scenario
async def test_a_transaction_of_several(tmp_path: Path) -> None:
    """Lists them."""

    async def two(spool: Spool) -> None:
        await spool.put([mail("mail"), replace(mail("mail"), id="mail-2")])

    async with pages(tmp_path, fill=two) as site:
        assert sorted(shown(await site.text("/messages/mail"))) == ["mail-1", "mail-2"]


@scenario
async def test_texts_of_strangers_are_text(tmp_path: Path) -> None:
    """Whatever a mail, an answer, a domain's DNS, an operator or a query says, no page has an element of theirs."""

    async def fill(spool: Spool) -> None:
        await spool.put([hostile("evil")])
        batch = await taken(spool)
        bad = replace(failed(batch.submissions[0]), text="<script>alert(1)</script>", reason="<b>")
        await spool.record(batch, ACCEPTED, [bad])

    visible = Settings.model_validate(
        {"relay": {"name": "relay.example"}, "status": {"address": "127.0.0.1:0"}, "log": {"subjects": "full"}}
    )
    async with pages(tmp_path, visible, fill=fill, domains=OneDomain()) as site:
        await site.spools.queue().pause("", by="<b>ann</b>", why="<script>alert(1)</script>")
        await site.log_in()
        query = '?q="><script>alert(1)</script>&domain="><img src=x onerror=alert(1)>&account=<b>'
        paths = ("/", "/messages", f"/messages{query}", "/messages/evil-1", "/accounts", "/domains", "/domains/example.com",
                 "/messages/<script>alert(1)<script>", '/domains/"><script>alert(1)<script>', f"/login{query}")  # fmt: skip
        for path in paths:
            text = (await site.http.get(path)).text
            assert "<script>" not in text, path
            assert "<img src=x" not in text, path
            assert "<b>" not in text, path
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in await site.text("/messages/evil-1")


MARK = b'{"subject":"x","text_body":"very secret words"}'


async def with_content(spool: Spool) -> None:
    await spool.put([replace(mail(name), payload=MARK, raw=MARK) for name in ("sent", "failed")])
    batch = await taken(spool)
    first, second = batch.submissions
    told = replace(failed(second), text="robot@example.com may not write to someone@example.net")
    await spool.record(batch, ACCEPTED, [sent(first), told])


@scenario
async def test_no_page_shows_content(tmp_path: Path) -> None:
    """Nor a subject, unless the log shows subjects, too."""
    async with pages(tmp_path, fill=with_content) as site:
        await site.log_in()
        for path in EVERY_PAGE:
            text = (await site.http.get(path)).text
            assert "secret words" not in text, path
            assert "Häppy" not in text, path


@pytest.mark.parametrize(
    ("addresses", "instead"), [("domain", "*@example.net"), ("hash", "#"), ("off", "***"), ("full", "")]
)
@scenario
async def test_addresses_as_the_log_shows_them(tmp_path: Path, addresses: str, instead: str) -> None:
    """Not a word more, also where an answer names them."""
    chosen = settings().model_copy(
        update={"log": Settings.model_validate({"log": {"addresses": addresses, "subjects": "full"}}).log}
    )
    async with pages(tmp_path, chosen, fill=with_content) as site:
        for path in ("/", "/messages?state=all", "/messages/failed-1", "/messages/sent-1"):
            text = await site.text(path)
            if addresses == "full":
                assert "someone@example.net" in text, path
                continue
            assert "someone@" not in text, path
            assert "robot@" not in text, path
            assert instead in text, path
        assert ("Häppy" in await site.text("/messages/sent-1")) == (chosen.log.subjects == "full")


@scenario
async def test_reload_that_hides_addresses_hides_them_here(tmp_path: Path) -> None:
    """What [log] may not show from now on, a page that was made before does not go on to show."""
    async with pages(tmp_path, fill=with_content) as site:
        assert "someone@example.net" in await site.text("/messages/sent-1")

        site.adopt(settings().model_copy(update={"log": Settings.model_validate({"log": {"addresses": "off"}}).log}))

        for path in ("/", "/messages?state=all", "/messages/failed-1", "/messages/sent-1"):
            text = await site.text(path)
            assert "someone@" not in text, path
            assert "robot@" not in text, path


@scenario
async def test_domains_and_their_records(tmp_path: Path) -> None:
    """Where each stands, what becomes of its mail, what was expected and found; unknown ones are not looked up."""
    async with pages(tmp_path / "some", domains=OneDomain()) as site:
        listed = await site.text("/domains")
        assert "accepted, with a warning" in listed
        assert "As the Management API said 3 min ago" in listed
        table = await site.text("/domains/Example.COM")
        for said in ("SPF", "wrong", "include:spf.example.net", "publish another", "&lt;script&gt;", "&lt;b&gt;spf"):
            assert said in table, said
        await site.text("/domains/unheard.example", status=404)
    async with pages(tmp_path / "none") as site:
        assert "No sender domains are checked" in await site.text("/domains")


@scenario
async def test_a_spool_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Health and metrics go on."""
    async with pages(tmp_path) as site:
        site.spools.path.rename(tmp_path / "elsewhere.db")
        for path in ("/", "/messages", "/accounts"):
            assert "there is no spool" in await site.text(path, status=503)
        assert await site.text("/healthz")


class Unreadable:
    """A spool that may give no figures."""

    def __init__(self, spool: Spool) -> None:
        self._spool, self.away = spool, False

    async def depth(self) -> Depth:
        if self.away:
            raise SpoolUnreachable("the connection to the database broke")
        return await self._spool.depth()


@scenario
async def test_what_is_known_without_the_spool_is_shown(tmp_path: Path) -> None:
    """Since when it cannot be read, whether mail is taken, what was accepted here, how accounts are; and all again once it can be read."""
    made: list[Unreadable] = []

    def unreadable(spool: Spool) -> Spool:
        made.append(Unreadable(spool))
        return cast("Spool", made[0])

    async with pages(tmp_path, spool_of=unreadable) as site:
        site.spools.clock.advance(timedelta(minutes=10))
        await site.history.sample()
        made[0].away = True
        site.spools.path.rename(tmp_path / "elsewhere.db")
        for _ in range(2):
            page = await site.text("/", status=503)
            site.spools.clock.advance(timedelta(minutes=10))
            since = 'cannot be read since <time datetime="2026-01-01T12:10:00+00:00"'
            for said in ("relay.example", since, "Accepting mail", "Accepted", "The last hour", "quota"):
                assert said in page, said
        made[0].away = False
        (tmp_path / "elsewhere.db").rename(site.spools.path)
        site.spools.clock.advance(timedelta(minutes=10))
        assert "cannot be read" not in await site.text("/")
        site.spools.path.rename(tmp_path / "elsewhere.db")
        assert "cannot be read:" in await site.text("/messages", status=503)


@pytest.mark.parametrize("path", ["/", "/messages", "/accounts"])
@scenario
async def test_a_spool_that_keeps_silent_is_told(tmp_path: Path, path: str) -> None:
    """Nobody waits for it without an end."""
    async with pages(tmp_path, queue=lambda queue: cast("Queue", Silent(queue)), patience=timedelta()) as site:
        assert "gave no answer" in await site.text(path, status=503)


@scenario
async def test_a_spool_that_kept_silent_is_not_waited_for_again(tmp_path: Path) -> None:
    """Neither for figures, nor for a probe that takes longer than people wait."""
    asked: list[str] = []

    class Counting:
        async def depth(self) -> Depth:
            asked.append("depth")
            raise SpoolUnreachable("away")

    async def never() -> str | None:
        await asyncio.Event().wait()
        return None

    def silent(queue: Queue) -> Queue:
        return cast("Queue", Silent(queue))

    def counting(_spool: Spool) -> Spool:
        return cast("Spool", Counting())

    async with pages(tmp_path, queue=silent, spool_of=counting, patience=timedelta()) as site:
        await site.text("/", status=503)
        assert asked == []
    folder = tmp_path / "other"
    folder.mkdir()
    async with pages(
        folder, queue=silent, patience=timedelta(), trouble_patience=timedelta(), probes={"spool": never}
    ) as site:
        page = await site.text("/", status=503)
        # What a probe says that was waited for.
        assert "5 seconds" not in page


class Silent:
    """A queue that answers nothing."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        async def never(*_arguments: Any, **_options: Any) -> None:
            await asyncio.Event().wait()

        return never


class Hanging:
    """A queue whose figures come only when `let_go` is set. `most` is how many asked for them at a time."""

    def __init__(self, queue: Queue) -> None:
        self._queue, self._asking, self.most, self.let_go = queue, 0, 0, asyncio.Event()

    async def overview(self) -> Overview:
        self._asking += 1
        self.most = max(self.most, self._asking)
        await self.let_go.wait()
        self._asking -= 1
        return await self._queue.overview()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


@scenario
async def test_many_readers_take_turns(tmp_path: Path) -> None:
    """So that pages never take all threads from the mail; what needs no spool is answered meanwhile."""
    made: list[Hanging] = []

    def hanging(queue: Queue) -> Queue:
        made.append(Hanging(queue))
        return cast("Queue", made[0])

    async with pages(tmp_path, queue=hanging, domains=OneDomain()) as site, asyncio.TaskGroup() as group:
        asked = [group.create_task(site.text("/accounts")) for _ in range(20)]
        async with asyncio.timeout(60):
            while made[0].most < 2:
                await site.text("/healthz")
        for path in ("/healthz", "/readyz", "/metrics", "/domains", "/domains/example.com"):
            assert await site.text(path), path
        assert not any(task.done() for task in asked)
        made[0].let_go.set()
    assert made[0].most == 2
    assert all("default" in task.result() for task in asked)


@scenario
async def test_pages_are_for_reading_by_anybody(tmp_path: Path) -> None:
    """A language, a title, one h1, a way past the menu, labels for every field, headings for rows and columns."""
    async with pages(tmp_path, domains=OneDomain()) as site:
        await site.log_in()
        for path in EVERY_PAGE:
            text = (await site.http.get(path, follow_redirects=True)).text
            assert '<html lang="en">' in text, path
            assert text.count("<h1") == 1, path
            assert 'class="skip" href="#main"' in text, path
            assert text.count("<table") == text.count("<caption") == text.count("<thead>"), path
            assert "<td>" not in text.replace("<td></td>", ""), f"{path}: a cell without its label for phones"
            for field in re.findall(r"<(?:input|select)[^>]*>", text):
                assert "hidden" in field or "aria-label" in field or _is_labelled(text, field), (path, field)


def _is_labelled(text: str, field: str) -> bool:
    before = text[: text.index(field)]
    return before.rfind("<label") > before.rfind("</label>")
