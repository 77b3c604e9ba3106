"""`qboxrelay sendmail`, also as a link with the name sendmail: what cron, PHP's mail() and old programs pipe mail into.

In: arguments and a mail on standard input. Out: the mail at the relay's SMTP port, an exit status of sysexits(3). Never: a queue of its own;
an import that takes time, because a program may call it for every mail.
"""

import os
import pwd
import socket
import sys
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from qboxrelay.cli.sendmail_arguments import Arguments, UsageError, read_arguments

VARIABLE = "QBOXRELAY_SENDMAIL_SERVER"
_CONFIG = "/etc/qboxrelay/qboxrelay.toml"
_PORTS = (25, 2525)
_LAST_PORT = 65535
_HOST = "127.0.0.1"
_EVERYWHERE = {"0.0.0.0": _HOST, "::": "::1"}  # noqa: S104 - read, not bound


def main(words: Sequence[str]) -> int:
    """The exit status."""
    from qboxrelay.cli.sendmail_submit import NotSent

    try:
        _send(read_arguments(words))
    except (UsageError, NotSent) as error:
        print(error if error.status == os.EX_OK else f"sendmail: {error}", file=sys.stderr)
        return error.status
    except Exception as error:  # noqa: BLE001 - a program expects a status, and its user a sentence
        print(f"sendmail: internal error: {type(error).__name__}: {error}", file=sys.stderr)
        return os.EX_SOFTWARE
    return os.EX_OK


def _send(arguments: Arguments) -> None:
    from qboxrelay.cli.sendmail_message import Mail
    from qboxrelay.cli.sendmail_submit import submit

    host, user = socket.gethostname(), _user()
    if not arguments.recipients and not arguments.from_headers:
        raise UsageError("no recipients: name them, or say -t to take them from the header")
    server = _server(arguments, os.environ)
    mail = Mail(sys.stdin.buffer.read(), ignore_dots=arguments.ignore_dots)
    recipients = list(arguments.recipients)
    if arguments.from_headers:
        recipients += mail.recipients()
        mail.without_bcc()
    if not recipients:
        raise UsageError("no recipients in To, Cc or Bcc")
    sender = _qualified(user if arguments.sender is None else arguments.sender, host)
    author = sender or _qualified(user, host)
    mail.complete(address=author, name=arguments.name, host=host)
    unique = list(dict.fromkeys(_qualified(one, host) for one in recipients))
    said = submit(server, sender, unique, mail.content(), notify=arguments.notify)
    if arguments.verbose:
        print(said)


def _user() -> str:
    """Who calls; a container may run as a number that has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _qualified(address: str, host: str) -> str:
    """A name without a domain is a user of this machine. A line end in an address would be a command of its own."""
    if not address.isprintable():
        raise UsageError(f"{address!a} is no address: it holds a character that none may have", os.EX_DATAERR)
    return address if not address or "@" in address else f"{address}@{host}"


def _server(arguments: Arguments, environ: Mapping[str, str]) -> tuple[str, int]:
    """Where the relay takes mail: as told, else as its configuration says, else on the usual ports of this machine."""
    told = arguments.server or environ.get(VARIABLE, "")
    if told:
        return _address(told)
    try:
        with open(arguments.config or _CONFIG, "rb") as file:  # noqa: PTH123 - pathlib is an import more
            return _of_configuration(tomllib.load(file))
    except OSError as error:
        if arguments.config:
            raise UsageError(f"{arguments.config}: {error.strerror}", os.EX_CONFIG) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{arguments.config or _CONFIG} is not TOML: {error}", os.EX_CONFIG) from None
    return next(((_HOST, port) for port in _PORTS if _listens(port)), (_HOST, _PORTS[0]))


def _of_configuration(data: dict[str, Any]) -> tuple[str, int]:
    """The first listener that takes mail in clear text and without a login."""
    listeners = data.get("listeners", [{}])
    for listener in listeners if isinstance(listeners, list) else []:
        closed = listener.get("auth") == "required" or listener.get("tls_required") or listener.get("proxy_protocol")
        if not closed and listener.get("tls") != "implicit":
            host, port = _address(str(listener.get("address", f"{_HOST}:{_PORTS[1]}")))
            return _EVERYWHERE.get(host, host), port
    raise UsageError(
        f"no listener takes mail without TLS and login: add one on loopback, or set {VARIABLE}", os.EX_CONFIG
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise UsageError(f"{text} is no address: write HOST:PORT", os.EX_CONFIG)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_HOST, port)) == 0
