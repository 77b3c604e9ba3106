"""Several relays on one PostgreSQL, and the applications that send through what stands before them.

In: a directory, a database, a sandbox. Out: nodes to start, kill and stop, load, a verdict on the promises. Never: anything of the relay's own
code; what the spool says is read from its tables, as an operator could.
"""

import contextlib
import json
import random
import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.support import mails
from tests.support.ledger import DOMAIN, RECIPIENT, Clients, body_of
from tests.support.logins import cheap_hash
from tests.support.processes import HOST, Relay, Sandbox, wait_until

USER, PASSWORD = "erp", "correct horse"
RATE = 4
"""Requests a second for the token, over all nodes. Three nodes that do not share it would make twelve, which the sandbox refuses: it takes ten."""
LEASE = 4.0
PATIENCE = 180.0
_SILENT = 2
"""The exit status where a node was not heard of."""

LISTENER = f"""
proxy_protocol = true
trusted_proxies = ["{HOST}"]
allow_networks = ["127.0.0.0/8"]
auth = "optional"
auth_without_tls = true
"""
# One request at a time from each node: however late some of them arrive, ten within a second would be more than were let go.
ACCOUNT = f"requests_per_second = {RATE}\nmax_requests_in_flight = 1"
DELIVERY = f'[delivery]\nretry_schedule = ["1s"]\nrequest_deadline = "2s"\nconnect_timeout = "1s"\nlease = "{LEASE:g}s"\nbreaker_pause = "1s"\n'
PATIENT = '[delivery]\nretry_schedule = ["1s"]\nrequest_deadline = "30s"\nlease = "60s"\n'
"""Times that no slow machine uses up: no outcome is unknown."""


class Node(Relay):
    """One relay of a cluster."""

    def __init__(self, directory: Path, base_url: str, *, name: str, database: str, delivery: str = DELIVERY) -> None:
        user = f'[[users]]\nname = "{USER}"\npassword_hash = "{cheap_hash(PASSWORD)}"\n'
        super().__init__(
            directory,
            base_url,
            name=name,
            listener=LISTENER,
            account=ACCOUNT,
            relay='stop_timeout = "40s"',
            extra=f'{delivery}\n[spool]\nurl = "{database}"\n{user}',
        )
        self.name = name

    def wait_ready(self) -> None:
        """Nothing that happens around it may end it."""
        wait_until(self.ready, seconds=PATIENCE, what=f"{self.name} is ready (log: {self.log})")

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        super().close()


@contextmanager
def nodes(
    directory: Path, base_url: str, database: str, *, count: int = 3, delivery: str = DELIVERY
) -> Iterator[list[Node]]:
    """So many relays, ready; killed at the end if they still run."""
    made = [
        Node(directory / f"node{n}", base_url, name=f"node{n}.example", database=database, delivery=delivery)
        for n in range(1, count + 1)
    ]
    try:
        for node in made:
            node.begin()
        for node in made:
            node.wait_ready()
        yield made
    finally:
        for node in made:
            node.close()


def listed(node: Node) -> list[dict[str, Any]]:
    """What `qboxrelay nodes` says, asked on the machine of one node."""
    command = [sys.executable, "-m", "qboxrelay", "nodes", "--config", str(node.config), "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode in {0, _SILENT}, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Manner:
    """How one application sends."""

    kept: bool
    login: bool
    source: str


MANNERS = [
    Manner(kept=kept, login=login, source=f"127.0.0.{10 + number}")
    for number, (kept, login) in enumerate([(True, False), (True, True), (False, False), (False, True)] * 2)
]


class Application(threading.Thread):
    """Sends mail after mail until told to end, and notes what it hears of each."""

    def __init__(self, port: int, manner: Manner, clients: Clients, *, prefix: str, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._port, self._manner, self._clients = port, manner, clients
        self._prefix, self._chance = prefix, chance
        self._over = threading.Event()
        self._client: smtplib.SMTP | None = None

    def end(self) -> None:
        self._over.set()

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            self._send(f"{self._prefix}-{number}")
            number += 1
            self._over.wait(self._chance.uniform(0.01, 0.06))
        self._leave()

    def _send(self, token: str) -> None:
        sender = f"{token}@{DOMAIN}"
        mail = mails.wire(mails.simple(token, sender=sender, body=body_of(token)))
        try:
            self._client = self._client or self._connect()
            self._client.sendmail(sender, [RECIPIENT], mail)
            self._clients.note(token, 250)
        except smtplib.SMTPResponseException as refused:
            self._clients.note(token, refused.smtp_code)
            self._leave()
        except smtplib.SMTPRecipientsRefused as refused:
            self._clients.note(token, refused.recipients[RECIPIENT][0])
            self._leave()
        except (OSError, smtplib.SMTPException):
            self._clients.note(token, None)
            self._leave()
        if not self._manner.kept:
            self._leave()

    def _connect(self) -> smtplib.SMTP:
        client = smtplib.SMTP(HOST, self._port, timeout=60, source_address=(self._manner.source, 0))
        try:
            if self._manner.login:
                client.login(USER, PASSWORD)
        except BaseException:
            client.close()
            raise
        return client

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


@contextmanager
def applications(port: int, clients: Clients, *, prefix: str, seed: int) -> Iterator[None]:
    """Of every manner, for as long as the block lasts."""
    threads = [
        Application(port, manner, clients, prefix=f"{prefix}-{number}", chance=random.Random(seed + number))
        for number, manner in enumerate(MANNERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.end()
        for thread in threads:
            thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "an application hangs"


@dataclass
class Row:
    """A submission, as the spool has it."""

    state: str
    client: str
    outcomes: list[str | None]

    @property
    def doubts(self) -> int:
        """Attempts whose end nobody knew."""
        return sum(outcome == "unknown" for outcome in self.outcomes)


_ROWS = """
SELECT s.envelope_sender, t.state, s.client_address, array_agg(a.outcome ORDER BY a.number) AS outcomes
FROM {schema}.submissions AS s JOIN {schema}.states AS t USING (key) LEFT JOIN {schema}.attempts AS a ON a.submission = s.key
WHERE s.envelope_sender LIKE %s GROUP BY s.key, t.state ORDER BY s.key
"""


class Spool:
    """The tables of a spool, as a database user sees them."""

    def __init__(self, database: str, schema: str = "qboxrelay") -> None:
        self._database = database
        self._schema = schema

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database, autocommit=True, connect_timeout=30) as connection:
            return connection.execute(query.format(schema=self._schema).encode(), values).fetchall()

    def waiting(self) -> int:
        ((count,),) = self.ask("SELECT count(*) FROM {schema}.states WHERE state IN ('queued', 'sending')")
        return int(count)

    def states(self) -> Counter[str]:
        return Counter(dict(self.ask("SELECT state, count(*) FROM {schema}.states GROUP BY state")))

    def rows(self, prefix: str) -> dict[str, Row]:
        """By token."""
        found = self.ask(_ROWS, f"{prefix}-%")
        assert len({sender for sender, *_ in found}) == len(found), "one mail was stored twice"
        return {sender.partition("@")[0]: Row(state, client, outcomes) for sender, state, client, outcomes in found}

    def drained(self) -> None:
        wait_until(lambda: self.waiting() == 0, seconds=PATIENCE, what="the spool is empty")


@dataclass
class Verdict:
    """What came of a round."""

    stored: int = 0
    acked: int = 0
    refused: int = 0
    unheard: int = 0
    repeated: int = 0
    doubts: int = 0
    stored_though_refused: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def judge(spool: Spool, qboxmail: Sandbox, clients: Clients, prefix: str) -> Verdict:
    """The promises, once the spool is empty."""
    # A commit of which no client heard any more may be the last one.
    rows = wait_until(lambda: _settled(spool.rows(prefix)), seconds=PATIENCE, what="all is settled")
    arrived: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in qboxmail.messages():
        arrived[entry["message"]["subject"]].append(entry)

    lost = clients.acked - arrived.keys()
    assert not lost, f"answered 250 and not delivered: {_some(lost, rows)}"
    foreign = arrived.keys() - rows.keys()
    assert not foreign, f"delivered and not in the spool: {sorted(foreign)[:5]}"
    left = {token for token, row in rows.items() if row.state != "sent"}
    assert not left, f"neither sent nor explained: {_some(left, rows)}"
    known = clients.acked | clients.unknown | clients.nacked.keys()
    assert rows.keys() <= known, f"nobody sent these: {sorted(rows.keys() - known)[:5]}"
    for token, entries in arrived.items():
        assert len(entries) - 1 <= rows[token].doubts, f"delivered too often: {_some([token], rows)}"
        for entry in entries:
            text = entry["message"]["text_body"].replace("\r\n", "\n")
            assert text.strip() == body_of(token).strip(), f"the content of {token} changed"
    permanent = {token: code for token, code in clients.nacked.items() if code >= 500}
    assert not permanent, f"refused for good: {permanent}"
    return Verdict(
        stored=len(rows),
        acked=len(clients.acked),
        refused=len(clients.nacked),
        unheard=len(clients.unknown),
        repeated=sum(len(entries) - 1 for entries in arrived.values()),
        doubts=sum(row.doubts for row in rows.values()),
        stored_though_refused=sorted(clients.nacked.keys() & rows.keys()),
    )


def _settled(rows: dict[str, Row]) -> dict[str, Row]:
    return {} if any(row.state in {"queued", "sending"} for row in rows.values()) else rows


def _some(tokens: "set[str] | Sequence[str]", rows: dict[str, Row]) -> str:
    return f"{len(tokens)}: " + ", ".join(f"{token} {rows.get(token)}" for token in sorted(tokens)[:5])


def judge_rate(requests: Sequence[dict[str, Any]]) -> int:
    """Most requests within any second, by the sandbox's clock, which must not be more than the API documents; nor more than the nodes agreed on
    over a longer time.
    """
    too_many = [request for request in requests if request["status"] == 429]
    assert not too_many, f"{len(too_many)} of {len(requests)} requests were refused for their rate"
    times = sorted(request["received_at"] for request in requests)
    # Turns of so many seconds, and what was let go before and arrived within them: one of each node, and of each that ended meanwhile.
    for seconds, most in ((1.0, 10), (20.0, RATE * 20 + 10)):
        found = most_within(times, seconds)
        assert found <= most, f"{found} requests within {seconds:g} s, {most} are allowed"
    return most_within(times, 1.0)


def most_within(times: Sequence[float], seconds: float) -> int:
    """`times` in order."""
    most, first = 0, 0
    for last, time_ in enumerate(times):
        while times[first] <= time_ - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Fate:
    """What happens to the nodes and their database, from one seed. Every kind of it happens before one comes again."""

    def __init__(
        self,
        relays: Sequence[Node],
        stop_database: Callable[[str], None],
        start_database: Callable[[], None],
        *,
        seed: int,
    ) -> None:
        self._acts: dict[str, Callable[[], None]] = {
            "freeze": self._freeze,
            "kill": self._kill,
            "stop": self._stop,
            "fast": lambda: self._restart_database("fast"),
            "immediate": lambda: self._restart_database("immediate"),
            "both": self._both,
        }
        self._relays = relays
        self._stop_database, self._start_database = stop_database, start_database
        self._chance = random.Random(seed)
        self._bag: list[str] = []
        self._frozen: tuple[Node, float] | None = None
        self.done: list[str] = []

    def strike(self) -> None:
        """One thing, and a while of peace. A frozen node sleeps while others are struck."""
        self._wake(only_if_due=True)
        if not self._bag:
            self._bag = list(self._acts)
            self._chance.shuffle(self._bag)
        act = self._bag.pop()
        self.done.append(act)
        self._acts[act]()
        time.sleep(self._chance.uniform(0.3, 1.5))

    def over(self) -> None:
        """Everything runs again."""
        self._wake()
        for node in self._relays:
            node.wait_ready()

    def _other(self) -> Node:
        return self._chance.choice(
            [node for node in self._relays if self._frozen is None or node is not self._frozen[0]]
        )

    def _freeze(self) -> None:
        self._wake()
        node = self._chance.choice(self._relays)
        node.freeze()
        self._frozen = node, time.monotonic() + LEASE + self._chance.uniform(1.0, 3.0)

    def _wake(self, *, only_if_due: bool = False) -> None:
        if self._frozen is None:
            return
        node, until = self._frozen
        if only_if_due and time.monotonic() < until:
            return
        time.sleep(max(0.0, until - time.monotonic()))
        node.thaw()
        self._frozen = None

    def _kill(self) -> None:
        node = self._other()
        node.kill()
        time.sleep(self._chance.uniform(0.0, 1.0))
        node.begin()
        node.wait_ready()

    def _stop(self) -> None:
        node = self._other()
        assert node.stop() == 0
        node.begin()
        node.wait_ready()

    def _both(self) -> None:
        """A node dies while the database is away."""
        node = self._other()
        self._restart_database("immediate", node.kill)
        node.begin()
        node.wait_ready()

    def _restart_database(self, mode: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._stop_database(mode)
        meanwhile()
        time.sleep(self._chance.uniform(0.0, 1.0))
        self._start_database()
