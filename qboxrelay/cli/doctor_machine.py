"""What the doctor sees of this machine: secrets' files, the disk, the ports, the doors' certificate.

In: a configuration that can run. Out: rows. Never: a change to the machine, but for a small file that is written to time fsync, and removed.
"""

import errno
import os
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qboxrelay.cli.doctor_row import Row, Verdict

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.settings.schema import Settings
    from qboxrelay.settings.types import SocketAddress

_GROUP = "This machine"
_WRITES = 15
_SLOW_MILLISECONDS = 25.0
_ROOM = 5
"""Warn below so many times what delivery itself needs."""
_MEMORY = {"tmpfs", "ramfs", "overlay"}
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"}


def machine_rows(loaded: "Loaded") -> Iterator[Row]:
    """One after the other: some take a moment."""
    from qboxrelay.cli.doctor_certificate import certificate_row
    from qboxrelay.settings.paths import is_postgres, relay_folder

    settings = loaded.settings
    yield from _secrets(settings)
    # What room a server has, and how safe its disk is, cannot be seen from here.
    if not is_postgres(settings):
        folder = _nearest(relay_folder(settings))
        yield _disk(folder, int(settings.spool.min_free_bytes))
        yield _file_system(folder)
        yield _fsync(folder)
    yield from _ports(settings, relay_folder(settings))
    if settings.tls.certificate_file is not None:
        yield certificate_row(settings.tls.certificate_file, settings.tls.key_file, settings.relay.name)


def _secrets(settings: "Settings") -> Iterator[Row]:
    from qboxrelay.settings.secrets import mode_warning

    files = [account.token_file for account in settings.accounts] + [
        settings.sender_domains.token_file,
        settings.tls.key_file,
        settings.spool.password_file,
    ]
    for user in settings.users:
        files += [user.password_hash_file, user.cram_md5_secret_file]
    named = [file for file in dict.fromkeys(files) if file is not None]
    if not named:
        yield Row(_GROUP, "secrets", Verdict.OK, "no file holds one: they come from the environment")
    for file in named:
        warning = mode_warning(file)
        if warning is not None:
            yield Row(
                _GROUP,
                f"secret {file.name}",
                Verdict.WARN,
                f"{file} is open to every user",
                warning.rpartition(": ")[2],
            )
        else:
            yield Row(_GROUP, f"secret {file.name}", Verdict.OK, f"{file} is closed to other users")


def _nearest(folder: Path) -> Path:
    """The folder, or what exists of the way to it: the relay makes the rest."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _disk(folder: Path, needed: int) -> Row:
    free = shutil.disk_usage(folder).free
    shown = f"{free / 1e9:.1f} GB free in {folder}"
    if free < needed:
        return Row(
            _GROUP,
            "disk space",
            Verdict.FAIL,
            shown,
            f"free some: below {needed / 1e9:.1f} GB (min_free_bytes) mail is refused",
        )
    if free < needed * _ROOM:
        return Row(
            _GROUP,
            "disk space",
            Verdict.WARN,
            shown,
            f"make room: below {needed / 1e9:.1f} GB (min_free_bytes) mail is refused",
        )
    return Row(_GROUP, "disk space", Verdict.OK, shown)


def _file_system(folder: Path) -> Row:
    kind = _kind_of(folder)
    if kind in _MEMORY:
        return Row(
            _GROUP,
            "file system",
            Verdict.WARN,
            f"{folder} is on {kind}",
            "accepted mail would not outlive a restart: use a disk or a volume",
        )
    if kind in _REMOTE:
        return Row(
            _GROUP,
            "file system",
            Verdict.WARN,
            f"{folder} is on {kind}",
            "locks and fsync over a network cannot be relied on: use a local disk",
        )
    return Row(_GROUP, "file system", Verdict.OK if kind else Verdict.UNKNOWN, kind or "not told by this system")


def _kind_of(folder: Path) -> str:
    """The type of the file system, of the longest mount point that leads there."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    path = folder.resolve()
    leading = [(len(point), kind) for point, kind in mounts if path == Path(point) or Path(point) in path.parents]
    return max(leading, default=(0, ""))[1]


def _fsync(folder: Path) -> Row:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            times = []
            for _ in range(_WRITES):
                began = time.perf_counter()
                os.write(file.fileno(), bytes(4096))
                os.fsync(file.fileno())
                times.append((time.perf_counter() - began) * 1000)
    except OSError as error:
        return Row(_GROUP, "fsync", Verdict.UNKNOWN, f"{folder}: {error.strerror}", "run this as the user of the relay")
    median = statistics.median(times)
    shown = f"{median:.1f} ms a commit, {1000 / max(median, 0.001):.0f} a second one by one; the relay commits together what arrives together"
    if median > _SLOW_MILLISECONDS:
        return Row(_GROUP, "fsync", Verdict.WARN, shown, "each reply waits that long: use a faster disk for data_dir")
    return Row(_GROUP, "fsync", Verdict.OK, shown)


def _ports(settings: "Settings", spool: Path) -> Iterator[Row]:
    from qboxrelay.cli.reload import holder_of

    try:
        holder = holder_of(spool / "spool.lock")
    except PermissionError:
        holder = None
    running = f"process {holder} holds the spool in {spool}" if holder else "no relay runs on this spool"
    yield Row(_GROUP, "relay", Verdict.OK, running)
    wanted = [(f"listener {door.name}", door.address) for door in settings.listeners]
    if settings.status.address is not None:
        wanted.append(("status", settings.status.address))
    for name, address in wanted:
        yield _port(name, address, holder)


def _port(name: str, address: "SocketAddress", holder: int | None) -> Row:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        socket.create_server((address.host, address.port), family=family).close()
    except OSError as error:
        return _taken(name, address, holder, error)
    if holder is not None:
        return Row(
            _GROUP,
            name,
            Verdict.FAIL,
            f"{address} is free, although a relay runs",
            "reload or restart it: it has another configuration",
        )
    return Row(_GROUP, name, Verdict.OK, f"{address} is free")


def _taken(name: str, address: "SocketAddress", holder: int | None, error: OSError) -> Row:
    if error.errno == errno.EACCES:
        advice = "the unit's CAP_NET_BIND_SERVICE, or systemd/qboxrelay.socket, opens it for the relay"
        return Row(_GROUP, name, Verdict.UNKNOWN, f"{address} cannot be tried by this user", advice)
    if error.errno != errno.EADDRINUSE:
        return Row(_GROUP, name, Verdict.FAIL, f"{address}: {error.strerror}", "name an address of this machine")
    ours = _listens_there(holder, address.port) if holder is not None else False
    if ours is None:
        return Row(_GROUP, name, Verdict.UNKNOWN, f"{address} is in use, by whom cannot be seen", "run this as root")
    if ours:
        return Row(_GROUP, name, Verdict.OK, f"{address} is the running relay's")
    return Row(
        _GROUP,
        name,
        Verdict.FAIL,
        f"{address} is in use by another program",
        f"see: ss -ltnp 'sport = :{address.port}'",
    )


def _listens_there(process: int, port: int) -> bool | None:
    """Whether one of the process's sockets listens on the port; None when that cannot be seen."""
    try:
        listening = {
            fields[9]
            for table in ("tcp", "tcp6")
            for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
        }
        mine = {str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir()}
    except OSError:
        return None
    return any(f"socket:[{inode}]" in mine for inode in listening)
