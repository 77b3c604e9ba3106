"""Which of several servers a connection is tried at first."""

import pytest

from qboxrelay.spool.postgres.servers import Servers


def order(servers: Servers) -> tuple[object, ...]:
    found = servers.parameters()
    return found.get("host"), found.get("hostaddr"), found.get("port")


def test_the_one_that_worked_comes_first() -> None:
    """Until another one works; what else the URL says stays."""
    servers = Servers({"host": "a,b,c", "port": "1,2,3", "dbname": "mail"})
    servers.worked("b", "192.0.2.2", 2)
    assert order(servers) == ("b,a,c", None, "2,1,3")
    servers.worked("c", "", 3)
    assert order(servers) == ("c,b,a", None, "3,2,1")
    assert servers.parameters()["dbname"] == "mail"
    assert servers.place == "a:1,b:2,c:3"
    assert servers.count == 3


def test_a_connection_that_began_before_another_server_took_over() -> None:
    """It may have found the old one again, and is not used; one that began since and passed over the first has found out that it is gone."""
    servers = Servers({"host": "a,b,c", "port": "1,2,3"})
    before = servers.order
    assert servers.worked("b", "", 2, begun=before)
    assert not servers.worked("a", "", 1, begun=before)
    assert order(servers)[0] == "b,a,c"
    assert servers.worked("b", "", 2, begun=before)
    assert servers.worked("c", "", 3, begun=servers.order)
    assert order(servers)[0] == "c,b,a"


@pytest.mark.parametrize("port", ["5433", "5433,5433", "5433,"], ids=["one", "each", "left out"])
def test_ports_that_are_written_in_other_ways(port: str) -> None:
    """One for all of them, one each, or the usual one."""
    servers = Servers({"host": "a,b", "port": port})
    servers.worked("b", "", 5432 if port.endswith(",") else 5433)
    assert order(servers)[0] == "b,a"


def test_servers_by_address() -> None:
    """One that has an address alone is known by it."""
    servers = Servers({"hostaddr": "192.0.2.1,192.0.2.2"})
    servers.worked("192.0.2.2", "192.0.2.2", 5432)
    assert order(servers) == (None, "192.0.2.2,192.0.2.1", None)


@pytest.mark.parametrize(("host", "port"), [("b", 2), ("a", 5432)])
def test_a_server_that_the_url_does_not_name(host: str, port: int) -> None:
    """It changes nothing: the environment may have sent us there."""
    servers = Servers({"host": "a,b", "port": "1,1"})
    servers.worked(host, "", port)
    assert order(servers) == ("a,b", None, "1,1")


@pytest.mark.parametrize(
    "parameters",
    [{"host": "a", "port": "1"}, {"host": "a,b", "port": "1,2,3"}, {"host": "a,b", "hostaddr": "1.1.1.1,2.2.2.2,3.3.3.3"}, {}],
    ids=["one server", "a port too many", "an address too many", "the local socket"],
)  # fmt: skip
def test_what_cannot_be_ordered_stays_as_it_is(parameters: dict[str, str]) -> None:
    """The driver says what is wrong with it."""
    servers = Servers(parameters)
    servers.worked("b", "", 5432)
    assert servers.parameters() == parameters
    assert servers.count == 1
