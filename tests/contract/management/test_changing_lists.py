"""Lists that change, or say something twice, while their pages are read: never half a listing, never none for a harmless oddity."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.management.harness import failed, listed
from tests.support.processes import HOST

Change = Callable[[list[str]], None]


class Lists(HTTPServer):
    """A Management API that lists domains by name, two a page. After each first page it makes the next of its changes."""

    def __init__(self, names: list[str], *changes: Change, counted: bool = True) -> None:
        super().__init__((HOST, 0), _Handler)
        self.names = names
        self.changes = list(changes)
        self.counted = counted
        self.more: dict[str, Any] = {}

    def page(self, number: int) -> dict[str, Any]:
        names = self.names[number * 2 - 2 : number * 2]
        pagination = {"total_records": len(self.names), "total_pages": -(-len(self.names) // 2)}
        resources = [{"name": name, "code": f"C-{name}", "display_status": "enabled", **self.more} for name in names]
        if number == 1 and self.changes:
            self.changes.pop(0)(self.names)
        return {"resources": resources, "pagination": pagination if self.counted else {}}


class _Handler(BaseHTTPRequestHandler):
    server: Lists

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        empty: dict[str, Any] = {"resources": [], "pagination": {}}
        number = int(parse_qs(address.query)["page"][0])
        answer = json.dumps(self.server.page(number) if address.path.endswith("/domains") else empty).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(server: Lists) -> Iterator[str]:
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


FIVE = [f"{letter}.example" for letter in "abcde"]


@pytest.mark.parametrize(
    "change",
    [lambda names: names.pop(0), lambda names: names.insert(0, "new.example")],
    ids=["one goes", "one comes"],
)
def test_a_change_moves_nothing_out_of_sight(change: Change) -> None:
    """A domain that moves from a page not yet read onto one that was would look unknown, and its mail would be refused."""
    server = Lists(list(FIVE), change)
    with serving(server) as url:
        assert sorted(listed(url).domains) == sorted(server.names)


def test_a_list_that_never_rests_is_no_listing() -> None:
    grows: Change = lambda names: names.insert(0, f"n{len(names)}.example")  # noqa: E731 - typed by its name
    with serving(Lists(list(FIVE), *[grows] * 9)) as url:
        assert failed(url).reason == "incomplete"


@pytest.mark.parametrize("counted", [True, False])
def test_what_stands_twice_in_a_list_does_not_spoil_it(counted: bool) -> None:
    """Wherever in it: the count of the records counts both."""
    names = ["a.example", "a.example", "a.example", "b.example", "a.example"]
    with serving(Lists(names, counted=counted)) as url:
        assert set(listed(url).domains) >= ({"a.example", "b.example"} if counted else {"a.example"})


def test_two_of_one_name_are_two_resources() -> None:
    """Told apart by their codes; the one that may send is not hidden by the other."""

    class Two(Lists):
        def page(self, number: int) -> dict[str, Any]:
            states = ("disabled", "enabled", "disabled")
            resources = [
                {"name": "Example.com", "code": f"C{place}", "display_status": state}
                for place, state in enumerate(states)
            ]
            return {"resources": resources, "pagination": {"total_records": 3, "total_pages": 1}}

    with serving(Two([])) as url:
        (domain,) = listed(url).domains.values()
    assert (domain.name, domain.state, domain.code) == ("example.com", "enabled", "C1")


def test_what_is_nested_beyond_reason_is_left_out() -> None:
    """JSON may be deeper than Python's stack; the rest of the resource counts."""
    fields = ("accounts", "txt_spf_record", "cname_verification_records", "dkim_selector_tr", "suggested_dmarc_record")
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    server = Lists(["a.example"])
    server.more = dict.fromkeys(fields, deep)
    with serving(server) as url:
        (domain,) = listed(url).domains.values()
    assert (domain.name, domain.spf, domain.records) == ("a.example", "", ())
