"""A real Prometheus that scrapes what a test runs.

In: a folder, an address, rules. Out: a process to query. Never: a look beyond this machine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import HOST, free_port, wait_until

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")


class Prometheus:
    """Its HTTP API."""

    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://{HOST}:{port}/api/v1", timeout=60, trust_env=False)

    def get(self, path: str, **parameters: str) -> Any:
        response = self._http.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/query", query=text)["result"]
        return found

    def ready(self) -> bool:
        try:
            return bool(self._http.get("/status/buildinfo").status_code == 200)
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._http.close()


@contextmanager
def prometheus(folder: Path, target: str, rules: Path) -> Iterator[Prometheus]:
    """Scrapes `target` each second and keeps exemplars."""
    assert PROMETHEUS is not None
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{rules}']\n"
        f"scrape_configs: [{{job_name: qboxrelay, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    command = [
        PROMETHEUS, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={HOST}:{port}", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    without_proxy = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=without_proxy)
    server = Prometheus(port)
    try:
        wait_until(server.ready, what=f"Prometheus is ready (log: {folder / 'prometheus.log'})")
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(60)
