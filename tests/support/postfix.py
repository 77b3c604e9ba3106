"""A Postfix of a test's own, in a folder of its own.

In: a folder and ports. Out: a started instance. Never: the machine's own Postfix touched.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import HOST, wait_until

IN_CLEAR = f"relayhost = [{HOST}]:%s\nsmtp_tls_security_level = none"


def sbin(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def postfix(
    directory: Path, port: int, *, listen: int | None = None, client: str = IN_CLEAR, prefix: Sequence[str] = ()
) -> Iterator[dict[str, str]]:
    """A Postfix of its own that hands everything to the port, and takes mail on another one; the environment that its commands need.

    `client` is what main.cf says about that, `%s` being the port; it is started behind the words `prefix`.
    """
    config, queue, data = (directory / name for name in ("etc", "queue", "data"))
    for folder in (config, queue, data):
        folder.mkdir(parents=True)
    directory.chmod(0o755)
    shutil.chown(data, "postfix")
    config.joinpath("main.cf").write_text(
        f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file_prefixes = {directory}
maillog_file = {directory}/postfix.log
myhostname = null.example
mydestination =
{client.replace("%s", str(port))}
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject
authorized_submit_users = static:all
"""
    )
    config.joinpath("master.cf").write_text(
        """
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
smtp unix - - n - - smtp
tlsmgr unix - - n 1000? 1 tlsmgr
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""
        # As many as there may be clients: the usual 100 would keep the others waiting for a greeting.
        + (f"{HOST}:{listen} inet n - n - 250 smtpd\n" if listen is not None else "")
    )
    environment = {**os.environ, "MAIL_CONFIG": str(config)}
    command = [sbin("postfix") or "", "-c", str(config), "start"]
    if prefix:
        # It goes on for as long as what it started.
        subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(lambda: _runs(queue), seconds=60, what="Postfix has started")
    else:
        started = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert started.returncode == 0, started.stdout + started.stderr
    try:
        yield environment
    finally:
        subprocess.run([sbin("postfix") or "", "-c", str(config), "stop"], capture_output=True, timeout=60, check=False)


def _runs(queue: Path) -> bool:
    pid = queue / "pid/master.pid"
    return pid.exists() and pid.read_text().strip().isdigit()
