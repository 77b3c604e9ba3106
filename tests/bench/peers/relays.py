"""The relays that are compared, each as processes of its own.

In: a folder and what it sends to. Out: a started relay: its port, its processes, how much it has delivered. Never: a setting that makes a
peer slower than its users know it.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support.postfix import postfix, sbin
from tests.support.processes import HOST, Relay, free_port, wait_until

HERE = Path(__file__).parent
FLUSHES = "fsync,fdatasync,sync_file_range"
WITH_WORKERS = "qboxrelay, workers = 2"
Delivered = Callable[[], int]
Prefix = Sequence[str]
"""Words of a command that starts another one: see `slow_disk`."""


def slow_disk(flush_ms: int) -> tuple[str, ...]:
    """The words before a command that make each flush of its processes take so much longer; all else goes on at its own speed."""
    if not flush_ms:
        return ()
    injected = f"inject={FLUSHES}:delay_exit={flush_ms * 1000}"
    return ("strace", "-f", "-qqq", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={FLUSHES}", "-e", injected)


@dataclass(frozen=True)
class Running:
    """A relay under test: where it listens, whose CPU and memory count, and how many mails came out of it."""

    port: int
    processes: Callable[[], list[psutil.Process]]
    delivered: Delivered


def _answers(port: int) -> bool:
    listening = (one.laddr for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    return any(address and address.port == port for address in listening)


@contextmanager
def _process(*command: str, port: int, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )
    try:
        wait_until(lambda: _answers(port), what=f"{command[-2]} listens")
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tree(pid: int) -> Callable[[], list[psutil.Process]]:
    """The process and what it started, but for what only slows its disk."""
    root = psutil.Process(pid)
    return lambda: [one for one in (root, *root.children(recursive=True)) if _name(one) != "strace"]


def _name(process: psutil.Process) -> str:
    """Empty for one that has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


@contextmanager
def http_sink() -> Iterator[tuple[str, Delivered]]:
    port = free_port()
    with _process(sys.executable, "-m", "tests.bench.peers.sink", str(port), port=port):
        url = f"http://{HOST}:{port}"
        with httpx.Client(base_url=url, trust_env=False) as client:
            yield url, lambda: int(client.get("/").text)


@contextmanager
def smtp_sink(folder: Path) -> Iterator[tuple[int, Delivered]]:
    """Postfix's smtp-sink, which notes one line a mail."""
    port, program = free_port(), sbin("smtp-sink")
    assert program is not None
    log = folder / "sink.log"
    with log.open("wb") as file:
        process = subprocess.Popen([program, "-u", "nobody", "-c", f"{HOST}:{port}", "1000"], stdout=file, stderr=file)
        try:
            wait_until(lambda: _answers(port), what="smtp-sink listens")
            yield port, lambda: _last_count(log)
        finally:
            process.kill()
            process.wait()


def _last_count(log: Path) -> int:
    """With -c smtp-sink overwrites a line of counters: `sess=… quit=… mesg=N`."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 200))
        counters = file.read().split(b"mesg=")
    return int(counters[-1].split()[0]) if len(counters) > 1 else 0


def qboxrelay(folder: Path, prefix: Prefix = ()) -> AbstractContextManager[Running]:
    return _qboxrelay(folder, prefix)


def qboxrelay_workers(folder: Path, prefix: Prefix = ()) -> AbstractContextManager[Running]:
    """Two processes that take mail, and one that keeps it and sends it."""
    return _qboxrelay(folder, prefix, relay="workers = 2")


@contextmanager
def _qboxrelay(folder: Path, prefix: Prefix, relay: str = "") -> Iterator[Running]:
    with http_sink() as (url, delivered):
        process = Relay(folder, url, relay=relay, extra='[spool]\nmin_free_bytes = "100MB"').start(prefix=prefix)
        try:
            yield Running(process.smtp_port, _tree(process.pid()), delivered)
        finally:
            process.close()


@contextmanager
def naive(_folder: Path, _prefix: Prefix) -> Iterator[Running]:
    with http_sink() as (url, delivered):
        port = free_port()
        with _process(
            sys.executable, "-m", "tests.bench.peers.naive", str(port), f"{url}/v1/send", port=port
        ) as process:
            yield Running(port, _tree(process.pid), delivered)


@contextmanager
def nodemailer(_folder: Path, _prefix: Prefix) -> Iterator[Running]:
    modules = {"NODE_PATH": os.environ["TESTS_NODE_MODULES"]}
    with http_sink() as (url, delivered):
        port = free_port()
        with _process("node", str(HERE / "relay.js"), str(port), f"{url}/v1/send", port=port, env=modules) as process:
            yield Running(port, _tree(process.pid), delivered)


@contextmanager
def postfix_relay(_folder: Path, prefix: Prefix) -> Iterator[Running]:
    with ExitStack() as stack:
        place = Path("/tmp") / f"bench-postfix-{os.getpid()}"
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        port = free_port()
        place.mkdir()
        sink, delivered = stack.enter_context(smtp_sink(place))
        stack.enter_context(postfix(place / "postfix", sink, listen=port, prefix=prefix))
        wait_until(lambda: _answers(port), what="Postfix listens")
        yield Running(port, _postfix_processes(place), delivered)


def _postfix_processes(place: Path) -> Callable[[], list[psutil.Process]]:
    master = int((place / "postfix/queue/pid/master.pid").read_text())
    return _tree(master)


@contextmanager
def haraka(folder: Path, prefix: Prefix) -> Iterator[Running]:
    """Haraka with its queue on disk and a process for each core; a plugin lets everybody relay, and names the sink as the next hop."""
    with smtp_sink(folder) as (sink, delivered):
        port, program = free_port(), Path(os.environ["TESTS_HARAKA"])
        shutil.copytree(program.resolve().parents[1] / "config", folder / "haraka/config")
        files = {
            "config/smtp.ini": f"listen={HOST}:{port}\nnodes=cpus\n",
            "config/outbound.ini": "enable_tls=false\nlocal_mx_ok=true\n",
            "config/log.ini": "level=warn\n",
            "config/plugins": "to_sink\n",
            "config/me": "haraka.example\n",
            "plugins/to_sink.js": _HARAKA_PLUGIN % {"host": HOST, "port": sink},
        }
        for name, content in files.items():
            (folder / "haraka" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "haraka" / name).write_text(content)
        with _process(*prefix, str(program), "-c", str(folder / "haraka"), port=port) as process:
            yield Running(port, _tree(process.pid), delivered)


_HARAKA_PLUGIN = """
exports.hook_connect = (next, connection) => { connection.relaying = true; next(); };
exports.hook_rcpt = (next) => next(OK);
exports.hook_get_mx = (next) => next(OK, { exchange: "%(host)s", port: %(port)d, priority: 0 });
"""


Start = Callable[[Path, Prefix], AbstractContextManager[Running]]


def available() -> tuple[dict[str, Start], dict[str, str]]:
    """The relays that can run here, and why the others cannot."""
    found: dict[str, Start] = {"qboxrelay": qboxrelay, WITH_WORKERS: qboxrelay_workers}
    missing: dict[str, str] = {}
    if sbin("postfix") and sbin("smtp-sink") and os.geteuid() == 0:
        found["Postfix"] = postfix_relay
    else:
        missing["Postfix"] = "needs postfix with smtp-sink, and root to start it"
    modules = Path(os.environ.get("TESTS_NODE_MODULES", ""))
    if shutil.which("node") and all((modules / name).is_dir() for name in ("smtp-server", "mailparser", "undici")):
        found["nodemailer"] = nodemailer
    else:
        missing["nodemailer"] = "needs node, and smtp-server, mailparser and undici in TESTS_NODE_MODULES"
    if Path(os.environ.get("TESTS_HARAKA", "")).is_file() and sbin("smtp-sink"):
        found["Haraka"] = haraka
    else:
        missing["Haraka"] = "needs its program's path in TESTS_HARAKA, and smtp-sink"
    found["naive"] = naive
    return found, missing
