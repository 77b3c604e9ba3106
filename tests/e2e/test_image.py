"""The Dockerfile's steps, run without a container engine: what they make runs as the image's user, on a root that is read-only."""

import os
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_systemd import may_confine, python_for_all
from tests.support import mails
from tests.support.dockerfile import Build, Stage, stages, variables_of
from tests.support.processes import HOST, Sandbox, free_port, wait_until

ROOT = Path(__file__).parents[2]
BUILD, IMAGE = stages((ROOT / "Dockerfile").read_text())
USER = IMAGE.said["USER"]


def test_image_runs_as_it_should() -> None:
    """No root, exec form (signals reach the relay itself), a volume for all that is written, the versions of the lock file."""
    assert USER.isdecimal()
    assert int(USER) > 0
    assert IMAGE.words("ENTRYPOINT") == ["qboxrelay"]
    assert IMAGE.words("CMD")[0] == "run"
    assert IMAGE.said["STOPSIGNAL"] == "SIGTERM"
    assert f"--uid {USER} " in dict(IMAGE.steps)["RUN"]
    assert variables_of(IMAGE)["SQLITE_TMPDIR"] == IMAGE.said["VOLUME"]
    assert any("-c requirements.lock" in rest for instruction, rest in BUILD.steps if instruction == "RUN")


@pytest.fixture
def place() -> Iterator[Path]:
    """Open to the image's user, as pytest's own folders are not."""
    folder = Path(tempfile.mkdtemp(prefix="qboxrelay-image-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not may_confine(), reason="needs root, setpriv, unshare, systemd-analyze and libseccomp (systemd)")
def test_steps_make_what_runs(place: Path, qboxmail: Sandbox) -> None:
    """Built step by step, started with the image's own words on a read-only root: healthy, takes mail, sends it, ends by SIGTERM."""
    build = Build(place, ROOT)
    build.run(BUILD)
    root = build.run(IMAGE)
    assert f"qboxrelay:x:{USER}:" in (root / "etc" / "passwd").read_text()
    assert not list((root / "opt" / "qboxrelay").rglob("pip/__init__.py"))
    smtp, http, token = free_port(), free_port(), place / "send-token"
    token.write_text("sandbox-send-token\n")
    os.chown(token, int(USER), int(USER))
    token.chmod(0o400)
    adapt(root, {"2525": str(smtp), "8025": str(http), "/run/secrets/send-token": str(token)}, qboxmail.url)
    process = start(root, place)
    try:
        wait_until(lambda: healthy(root, http), seconds=60, what="the image is healthy")
        with smtplib.SMTP(HOST, smtp, timeout=60) as client:
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("from an image")))
        wait_until(qboxmail.messages, what="the mail is sent")
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()

    assert not healthy(root, http)
    assert (root / "var" / "lib" / "qboxrelay" / "spool.db").stat().st_uid == int(USER)


def adapt(root: Path, changes: dict[str, str], url: str) -> None:
    """The image's configuration with ports and files that are free here; its data directory is below the root."""
    config = root / "etc" / "qboxrelay" / "qboxrelay.toml"
    text = config.read_text()
    assert all(old in text for old in changes)
    # All in one go: a port may end as another one that is still to be replaced.
    text = re.sub("|".join(map(re.escape, changes)), lambda found: changes[found[0]], text)
    text = text.replace("[[accounts]]", f'[[accounts]]\nbase_url = "{url}/v1"')
    config.write_text(text.replace("[relay]", f'[relay]\ndata_dir = "{root}/var/lib/qboxrelay"'))


def start(root: Path, place: Path) -> subprocess.Popen[bytes]:
    state, python = root / "var" / "lib" / "qboxrelay", place / "python"
    python.mkdir()
    mounts = f"{python_for_all(python)} mount --bind {state} {state} && mount -o remount,bind,ro / && cd {state}"
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
    words = [root / "opt" / "qboxrelay" / "bin" / "qboxrelay", *IMAGE.words("CMD")]
    command = [str(word).replace("/etc/qboxrelay", f"{root}/etc/qboxrelay") for word in words]
    # The console script names the Python of the stage that it was built in.
    command = [str(root / "opt" / "qboxrelay" / "bin" / "python"), *command]
    return subprocess.Popen(["unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh", *user, *command])


def healthy(root: Path, port: int) -> bool:
    """The image's own HEALTHCHECK."""
    check = re.search(r"CMD (\[.*\])", IMAGE.said["HEALTHCHECK"])
    assert check is not None
    probe = Stage("", said={"CMD": check[1].replace("8025", str(port))}).words("CMD")
    run = subprocess.run([sys.executable, *probe[1:]], capture_output=True, check=False, timeout=60)
    return run.returncode == 0
