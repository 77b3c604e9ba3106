"""The page of the relays that share a spool."""

from datetime import timedelta
from pathlib import Path

from qboxrelay.spool.shared import Node, Work
from tests.contract.spool.harness import START, scenario
from tests.contract.status.harness import pages


def node(name: str, *, silent: float = 1, stopped: bool = False, leads: bool = False) -> Node:
    return Node(
        name=name,
        version="1.2.3",
        started_at=START,
        seen_at=START,
        silent=timedelta(seconds=silent),
        stopped_at=START if stopped else None,
        leads=leads,
        work=Work(accepted=1200, sent=1100, accepted_per_second=2.5, sent_per_second=1.5),
    )


NODES = [
    node("relay.example", leads=True),
    node("<b>two</b>", silent=40, leads=True),
    node("three", silent=3600, stopped=True),
]


@scenario
async def test_nodes_are_listed(tmp_path: Path) -> None:
    """Each with its state, heartbeat and work; the leader is one that runs; names are text."""
    async with pages(tmp_path, nodes=NODES) as site:
        text = await site.text("/nodes")
        assert '<a href="/nodes" aria-current="page">Nodes</a>' in text
        assert [text.count(f">{life}</span>") for life in ("running", "silent", "stopped", "leader")] == [1, 1, 1, 1]
        assert "&lt;b&gt;two&lt;/b&gt;" in text
        assert 'relay.example <span class="soft">(this one)</span>' in text
        for said in ("1 s ago", "40 s ago", "60 min ago", "1\u202f200, 2.5/s", "1\u202f100, 1.5/s", "1.2.3"):
            assert said in text, said


@scenario
async def test_relay_with_a_spool_of_its_own(tmp_path: Path) -> None:
    """There is no way to the page, and the page says why."""
    async with pages(tmp_path) as site:
        assert 'href="/nodes"' not in await site.text("/")
        assert "has its spool for itself" in await site.text("/nodes")
