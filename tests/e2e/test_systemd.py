"""The unit as systemd reads it, and the relay as systemd starts it: sd_notify, socket activation, the unit's own restrictions."""

import contextlib
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox, free_port, wait_until
from tests.support.service_manager import NotifySocket, handing_over

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "qboxrelay.service"
WORST_EXPOSURE = 1.5

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (systemd)")
NOBODY = "61184"
"""The first of the users that DynamicUser= gives."""
CAPABILITY = "-all,+net_bind_service"
AS_THE_UNIT = [
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={CAPABILITY}",
    f"--ambient-caps={CAPABILITY}", f"--bounding-set={CAPABILITY}", "--no-new-privs",
]  # fmt: skip


def may_confine() -> bool:
    programs = all(map(shutil.which, ("setpriv", "unshare", "systemd-analyze")))
    if not programs or os.geteuid() != 0 or find_library("seccomp") is None:
        return False
    command = ["unshare", "--mount", *AS_THE_UNIT, "true"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


activate = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="needs systemd-socket-activate (systemd)"
)


def installed(tmp_path: Path) -> list[Path]:
    """The units, with a program that is there in place of /opt's."""
    units = []
    for name in ("qboxrelay.service", "qboxrelay.socket"):
        unit = tmp_path / name
        unit.write_text((ROOT / "systemd" / name).read_text().replace("/opt/qboxrelay/bin/qboxrelay", sys.executable))
        units.append(unit)
    return units


@analyze
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Every line of both units is one that systemd knows; only the program's place is another."""
    assert "RestartPreventExitStatus=78" in UNIT.read_text()
    units = installed(tmp_path)
    run = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False, timeout=60)

    assert (run.returncode, run.stdout + run.stderr) == (0, "")


@analyze
def test_unit_exposes_little(tmp_path: Path) -> None:
    """systemd's own measure of what the service could do to the machine is at most 1.5."""
    service, _ = installed(tmp_path)
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", service],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    exposure = re.search(r"Overall exposure level for qboxrelay\.service: ([\d.]+)", run.stdout)

    assert exposure is not None, run.stdout + run.stderr
    assert float(exposure[1]) <= WORST_EXPOSURE


def test_manager_hears_of_start_reload_and_stop(qboxmail: Sandbox, tmp_path: Path) -> None:
    """READY=1 once mail can come, figures beside it, the watchdog fed again and again, STOPPING=1 with the time that it may take."""
    manager = NotifySocket(watchdog_seconds=4)
    relay = Relay(tmp_path / "relay", qboxmail.url)
    try:
        relay.begin(environment=manager.environ)
        manager.wait_for("READY=1")
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
            client.noop()
        assert re.fullmatch(r"STATUS=\d+ sessions, 0 waiting", manager.wait_for("STATUS="))
        manager.wait_for("WATCHDOG=1", times=3)
        assert manager.count("STOPPING=1") == 0
        assert relay.stop() == 0
    finally:
        relay.close()

    assert manager.count("READY=1") == 1
    assert manager.count("STOPPING=1") == 1
    assert manager.count("EXTEND_TIMEOUT_USEC=30000000") == 1
    manager.close()


def test_not_ready_while_it_cannot_start(qboxmail: Sandbox, tmp_path: Path) -> None:
    """A relay whose port is taken ends without READY=1."""
    manager = NotifySocket()
    relay = Relay(tmp_path / "relay", qboxmail.url)
    with socket.create_server((HOST, relay.smtp_port)):
        relay.begin(environment=manager.environ)
        assert relay.wait() == 1

    assert manager.told() == []
    relay.close()
    manager.close()


@activate
@pytest.mark.parametrize("how", ["by address", "by name"])
def test_socket_activation(how: str, qboxmail: Sandbox, tmp_path: Path) -> None:
    """The connection that starts the relay is served by it, on the socket that systemd opened: the relay opens none there itself."""
    relay = Relay(tmp_path / "relay", qboxmail.url)
    port = relay.smtp_port
    if how == "by name":
        # The configuration has another address, which a listener of its own could not even open.
        relay.config.write_text(relay.config.read_text().replace(f"{HOST}:{port}", "127.0.0.1:1"))
    prefix = ["systemd-socket-activate", "--listen", f"{HOST}:{port}", "--fdname", "smtp"]
    try:
        relay.begin(prefix=prefix)
        mail = mails.wire(mails.simple("activated"))
        wait_until(lambda: connects(port), what="systemd-socket-activate listens")
        with smtplib.SMTP(HOST, port, timeout=60) as client:
            client.sendmail("ann@example.com", ["bob@example.net"], mail)
        wait_until(qboxmail.messages, what="the mail is sent")
        (started,) = relay.events("relay.started")
        assert started["smtp"] == [f"smtp={HOST}:{port}"]
        assert not relay.events("socket.not_used")
        assert relay.stop() == 0
    finally:
        relay.close()


def connects(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_restart_loses_no_connection(qboxmail: Sandbox, tmp_path: Path) -> None:
    """Connections that are made while the relay stops, is away and starts again are all served."""
    relay = Relay(tmp_path / "relay", qboxmail.url)
    with socket.create_server((HOST, relay.smtp_port)) as held:
        descriptor = held.fileno()
        prefix = handing_over(descriptor, names=["smtp"])
        try:
            relay.start(prefix=prefix, pass_fds=[descriptor])
            served = _connect(relay.smtp_port)
            assert served.recv(1000).startswith(b"220")
            relay.signal(signal.SIGTERM)
            waiting = [_connect(relay.smtp_port) for _ in range(20)]
            assert relay.wait() == 0
            waiting += [_connect(relay.smtp_port) for _ in range(20)]
            relay.start(prefix=prefix, pass_fds=[descriptor])
            greetings = [connection.recv(1000)[:3] for connection in waiting]
            for connection in (served, *waiting):
                connection.close()
            with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
                client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("again")))
        finally:
            relay.close()

    # Those that the relay took while it was about to end are told so, and try again; nobody is refused or forgotten.
    assert set(greetings) <= {b"220", b"421"}
    assert greetings[20:] == [b"220"] * 20


def _connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=60)


def test_socket_that_no_listener_wants(qboxmail: Sandbox, tmp_path: Path) -> None:
    """A socket without a listener is closed, and the log says what to compare."""
    relay = Relay(tmp_path / "relay", qboxmail.url)
    port = free_port()
    with socket.create_server((HOST, port)) as held:
        try:
            relay.start(prefix=handing_over(held.fileno(), names=["old"]), pass_fds=[held.fileno()])
            (said,) = relay.events("socket.not_used")
        finally:
            relay.close()

    assert said["address"] == f"{HOST}:{port}"
    assert "FileDescriptorName=" in said["hint"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may pass through; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="qboxrelay-unit-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not may_confine(), reason="needs root, setpriv, unshare, systemd-analyze and libseccomp (systemd)")
def test_relay_lives_under_the_units_settings(qboxmail: Sandbox, open_folder: Path) -> None:
    """As a user without rights, with the unit's capability, system call filter, W^X rule, umask and view of processes, on a file system that is
    read-only but for its state directory, with the token as a credential: it takes mail on a port below 1024, sends it, is reloaded, and stops.
    """
    relay = Relay(open_folder / "etc", qboxmail.url)
    state, credentials, port = open_folder / "state", open_folder / "credentials", _privileged_port()
    state.mkdir(mode=0o700)
    credentials.mkdir(mode=0o500)
    shutil.copy(relay.directory / "token", credentials / "send-token")
    for path in (state, credentials, credentials / "send-token"):
        os.chown(path, int(NOBODY), int(NOBODY))
    text = relay.config.read_text().replace(f"{HOST}:{relay.smtp_port}", f"{HOST}:{port}")
    text = text.replace(str(relay.directory / "data"), str(state))
    relay.config.write_text(text.replace(str(relay.directory / "token"), "send-token"))
    (open_folder / "python").mkdir()
    own = f"{python_for_all(open_folder / 'python')} mount --bind {state} {state}"
    # ProtectProc= and ProcSubset=, ProtectSystem=, UMask=.
    rest = (
        "mount -t proc -o subset=pid,hidepid=invisible proc /proc && mount -o remount,bind,ro / && cd / && umask 0077"
    )
    confine = [sys.executable, str(ROOT / "tests" / "support" / "confine.py"), str(UNIT)]
    prefix = ["unshare", "--mount", "sh", "-ec", f'{own} && {rest}; exec "$@"', "sh", *AS_THE_UNIT, *confine]
    try:
        relay.start(prefix=prefix, environment={"CREDENTIALS_DIRECTORY": str(credentials)})
        with smtplib.SMTP(HOST, port, timeout=60) as client:
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("confined")))
        wait_until(qboxmail.messages, what="the mail is sent")
        confined = Path(f"/proc/{relay.pid()}/status").read_text()
        # As ExecReload= runs it.
        command = [sys.executable, "-m", "qboxrelay", "reload", "--config", str(relay.config)]
        reload = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=120, check=False)
        assert (reload.returncode, reload.stdout) == (0, "Reloaded.\nnothing has changed\n"), reload.stderr
        assert relay.stop() == 0
    finally:
        relay.close()

    assert re.search(rf"^Uid:\s+{NOBODY}\s", confined, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0000000000000400$", confined, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", confined, re.MULTILINE)
    assert (state / "spool.db").stat().st_mode & 0o077 == 0


def python_for_all(place: Path) -> str:
    """Commands that let every user of a mount namespace run this Python, where it is installed in a home directory."""
    base = Path(sys.base_prefix).resolve()
    closed = [folder for folder in reversed(base.parents) if not folder.stat().st_mode & 0o001]
    if not closed:
        return ""
    empty = f"mount -t tmpfs -o mode=755 tmpfs {closed[0]} && mkdir -p {base}"
    return f"mount --bind {base} {place} && {empty} && mount --bind {place} {base} &&"


def _privileged_port() -> int:
    for port in range(1023, 900, -1):
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port
    raise AssertionError("no port below 1024 is free")
