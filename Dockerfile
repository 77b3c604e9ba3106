# syntax=docker/dockerfile:1
# Two stages: one builds the virtual environment with the versions of the lock file, the other runs it as a user without rights.
# The root file system may be read-only: only /var/lib/qboxrelay is written to.

FROM python:3.13-slim AS build
WORKDIR /src
# Without pip, which the image has no use for.
RUN python -m venv --without-pip /opt/qboxrelay
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY qboxrelay ./qboxrelay
RUN pip --python /opt/qboxrelay/bin/python install --no-cache-dir --disable-pip-version-check -c requirements.lock '.[postgres]'

FROM python:3.13-slim
RUN useradd --system --uid 10025 --user-group --home-dir /var/lib/qboxrelay --create-home --shell /usr/sbin/nologin qboxrelay
COPY --from=build /opt/qboxrelay /opt/qboxrelay
COPY config/container.toml /etc/qboxrelay/qboxrelay.toml
# SQLite sorts what is too large for memory in a file: beside the spool, because nothing else is writable.
ENV PATH=/opt/qboxrelay/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 SQLITE_TMPDIR=/var/lib/qboxrelay
# By number, so that a cluster can see that it is not root.
USER 10025
WORKDIR /var/lib/qboxrelay
VOLUME /var/lib/qboxrelay
EXPOSE 2525 8025
# The relay is process 1 and answers SIGTERM itself; it leaves no child processes for an init to reap.
STOPSIGNAL SIGTERM
# Asks the relay itself: a proxy that the environment names is for the way out. With another [status] address, set another check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8025/healthz', timeout=4)"]
ENTRYPOINT ["qboxrelay"]
CMD ["run", "--config", "/etc/qboxrelay/qboxrelay.toml"]
