"""What the repository ships for running the relay: the unit of systemd, the image's configuration and health check."""

import json
import re
import smtplib
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from qboxrelay.settings.problem import SettingsError
from qboxrelay.settings.schema import Settings
from qboxrelay.settings.types import SocketAddress
from qboxrelay.settings.verify import load_verified
from tests.support import mails
from tests.support.processes import HOST, Relay, Sandbox

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "config" / "container.toml"
DOCKER_STOP_SECONDS = 10


def of_the_image(tmp_path: Path) -> Settings:
    environ = {"QBOXRELAY_TOKEN_DEFAULT": "a-token", "QBOXRELAY_RELAY_DATA_DIR": str(tmp_path)}
    return load_verified(CONTAINER, environ).settings


def test_image_listens_where_a_published_port_leads(tmp_path: Path) -> None:
    """The doors are on all interfaces of the container, for private addresses alone, and a stop is done before Docker kills."""
    settings = of_the_image(tmp_path)
    (listener,) = settings.listeners
    assert settings.status.address is not None

    assert listener.address.host == "0.0.0.0"
    assert settings.status.address.host == HOST
    assert listener.allow_networks
    assert all(ip_network(network).is_private for network in listener.allow_networks)
    assert settings.relay.stop_timeout.total_seconds() < DOCKER_STOP_SECONDS
    exposed = re.search(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert exposed is not None
    assert exposed[1].split() == [str(listener.address.port), str(settings.status.address.port)]


def test_image_publishes_its_page_with_a_token(tmp_path: Path) -> None:
    """The two variables that the configuration names are enough, and neither will do alone."""
    token = tmp_path / "status-token"
    token.write_text("0123456789abcdef01234567")
    said = dict(re.findall(r"-e (QBOXRELAY_STATUS_\w+)=([^ ,]+)", CONTAINER.read_text()))
    said["QBOXRELAY_STATUS_TOKEN_FILE"] = str(token)
    environ = {"QBOXRELAY_TOKEN_DEFAULT": "a-token", "QBOXRELAY_RELAY_DATA_DIR": str(tmp_path)}

    assert load_verified(CONTAINER, environ | said).settings.status.address == SocketAddress("0.0.0.0", 8025)
    del said["QBOXRELAY_STATUS_TOKEN_FILE"]
    with pytest.raises(SettingsError, match="anybody there could read the status page"):
        load_verified(CONTAINER, environ | said)


def test_image_takes_mail_and_is_healthy(qboxmail: Sandbox, tmp_path: Path) -> None:
    """The image's configuration, on other ports and with the sandbox: mail is taken, and the health check says what is so."""
    relay = Relay(tmp_path / "relay", qboxmail.url)
    text = CONTAINER.read_text().replace("0.0.0.0:2525", f"0.0.0.0:{relay.smtp_port}")
    text = text.replace("127.0.0.1:8025", f"127.0.0.1:{relay.http_port}")
    text = text.replace("/run/secrets/send-token", str(tmp_path / "relay" / "token"))
    text = text.replace("[relay]", f'[relay]\ndata_dir = "{tmp_path}/data"')
    relay.config.write_text(text.replace("[[accounts]]", f'[[accounts]]\nbase_url = "{qboxmail.url}/v1"'))
    dockerfile = (ROOT / "Dockerfile").read_text()
    check = re.search(r"^HEALTHCHECK .*\\\n +CMD (.*)$", dockerfile, re.MULTILINE)
    assert check is not None
    _, *arguments = json.loads(check[1].replace("8025", str(relay.http_port)))

    def healthy() -> bool:
        # The environment's proxy is for the way out.
        environ = {"http_proxy": "http://127.0.0.1:9"}
        run = subprocess.run([sys.executable, *arguments], env=environ, capture_output=True, check=False, timeout=60)
        return run.returncode == 0

    try:
        relay.start()
        assert healthy()
        with smtplib.SMTP(HOST, relay.smtp_port, timeout=60) as client:
            client.sendmail("ann@example.com", ["bob@example.net"], mails.wire(mails.simple("contained")))
        assert relay.stop() == 0
        assert not healthy()
    finally:
        relay.close()
