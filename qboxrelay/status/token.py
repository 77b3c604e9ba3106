"""The token of the pages, as it is now: its file is read again when it changes.

In: a path, or None. Out: what gives the token. Never: an exception where the file is gone; then nobody is let in by it.
"""

from collections.abc import Callable
from pathlib import Path

from qboxrelay.qboxmail.token import FileToken, TokenUnreadable
from qboxrelay.settings.types import Secret


def token_of_pages(file: Path | None) -> Callable[[], Secret | None]:
    """None where there is no token, or none that can be read."""
    if file is None:
        return lambda: None
    source = FileToken(file)

    def current() -> Secret | None:
        try:
            return source.current()
        except TokenUnreadable:
            return None

    return current
