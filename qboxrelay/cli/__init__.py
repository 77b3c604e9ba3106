"""The command line: one file per command group; `app` names them all.

In: arguments. Out: text for people, JSON where asked, an exit status. Never: logic that another part would want.
"""

import os
import sys
from typing import TYPE_CHECKING

from qboxrelay.cli.process import prepare

if TYPE_CHECKING:
    from pathlib import Path


def main() -> None:
    prepare(sys.argv[1:])
    if _as_sendmail(sys.argv):
        from qboxrelay.cli import sendmail

        sys.exit(sendmail.main(sys.argv[1:] if sys.argv[1:2] != ["sendmail"] else sys.argv[2:]))
    if (config := _to_run(sys.argv[1:])) is not None:
        from qboxrelay.cli.relay import run_relay

        sys.exit(run_relay(config))
    # Not before: importing takes a while, and a signal to stop may come in it.
    from qboxrelay.cli.app import app

    app()


def _as_sendmail(argv: list[str]) -> bool:
    """By the name of a link, or as a command: its options are older than any library for them, and it must start at once."""
    return os.path.basename(argv[0]) == "sendmail" or argv[1:2] == ["sendmail"]  # noqa: PTH119 - pathlib is an import more


def _to_run(arguments: list[str]) -> "Path | None":
    """The configuration, when a daemon is to run and nothing is to be explained: the command line's libraries would stay in its memory."""
    match arguments:
        case ["run", "--config" | "-c", path] if not path.startswith("-"):
            from pathlib import Path

            return Path(path)
    return None
