"""Which resolvers are asked: those of this machine as they are now, or the configured ones."""

from pathlib import Path

import pytest

from qboxrelay.domains.nameservers import Nameservers, NoNameservers
from qboxrelay.settings.schema import SenderDomainSettings


def write(path: Path, *servers: str) -> None:
    """As programs do that look after it: a new file in the place of the old one."""
    beside = path.with_suffix(".new")
    beside.write_text("".join(f"nameserver {server}\n" for server in servers))
    beside.replace(path)


def asked(nameservers: Nameservers) -> list[str]:
    pair = nameservers.pair()
    assert [str(one) for one in pair.hasty.nameservers] == [str(one) for one in pair.patient.nameservers]
    return [str(one) for one in pair.hasty.nameservers]


def test_a_machine_that_moves_is_followed(tmp_path: Path) -> None:
    """A network that comes up after the relay, a lease with other resolvers: no restart is needed. An unchanged file is not read again."""
    path = tmp_path / "resolv.conf"
    nameservers = Nameservers(SenderDomainSettings(), path)
    with pytest.raises(NoNameservers, match="set resolvers"):
        nameservers.pair()
    write(path, "192.0.2.1")
    assert asked(nameservers) == ["192.0.2.1"]
    assert nameservers.pair() is nameservers.pair()
    write(path, "192.0.2.2", "192.0.2.30")
    assert asked(nameservers) == ["192.0.2.2", "192.0.2.30"]
    path.unlink()
    with pytest.raises(NoNameservers):
        nameservers.pair()


def test_configured_ones_are_all(tmp_path: Path) -> None:
    """What the machine has does not matter."""
    settings = SenderDomainSettings.model_validate({"resolvers": ["192.0.2.53", "[2001:db8::53]:5353"]})
    nameservers = Nameservers(settings, tmp_path / "none")
    assert [one.rpartition("@")[2] for one in asked(nameservers)] == ["53", "5353"]


@pytest.mark.parametrize(("deadline", "once"), [("2s", 2.0), ("100ms", 1.0), ("1m", 4.0)])
def test_each_gets_half_of_what_a_mail_waits(tmp_path: Path, deadline: str, once: float) -> None:
    """Within bounds; all of them together are the first round, and the second takes all the time there is."""
    settings = SenderDomainSettings.model_validate(
        {"resolvers": ["192.0.2.1", "192.0.2.2"], "dns_deadline": deadline, "dns_timeout": "10s"}
    )
    pair = Nameservers(settings, tmp_path / "none").pair()
    assert (pair.once, pair.patient.timeout) == (once, 5.0)
