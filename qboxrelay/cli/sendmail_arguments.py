"""The arguments of sendmail(8), as programs have given them for forty years.

In: words behind the program's name. Out: `Arguments`. Never: an option that is ignored although the mail would then be another one.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_USAGE = "usage: sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N NOTIFY] [-v] [--server HOST:PORT] [--config FILE] [--] [RECIPIENT...]"
_WITH_VALUE = frozenset("BCDFLNORVXdfhopqr")
"""Of these -d, -o, -p and -q only have one in the same word."""
_SAME_WORD = frozenset("dopq")
_IGNORED = frozenset("ABCDGLORUVXdhmnopqsx")
_MODES = {
    "s": "it does not speak SMTP on standard input: connect to the relay's SMTP port",
    "p": "it keeps no queue of its own: see qboxrelay queue list",
    "d": "it is no daemon: see qboxrelay run",
    "D": "it is no daemon: see qboxrelay run",
    "i": "there are no aliases: give addresses",
    "v": "it cannot verify addresses",
    "h": "there is no host status",
    "H": "there is no host status",
}


class UsageError(Exception):
    """Arguments that cannot be meant; `status` is one of sysexits(3)."""

    def __init__(self, text: str, status: int = os.EX_USAGE) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class Arguments:
    """What is asked for."""

    recipients: list[str] = field(default_factory=list)
    from_headers: bool = False
    """-t: the recipients are those of To, Cc and Bcc as well."""
    ignore_dots: bool = False
    """-i: a line with a dot alone does not end the mail."""
    sender: str | None = None
    """-f: the envelope's; None when not given, empty for the null sender."""
    name: str = ""
    """-F: the full name, for From where it is missing."""
    notify: str = ""
    """-N, RFC 3461."""
    verbose: bool = False
    server: str = ""
    config: str = ""


def read_arguments(words: Sequence[str]) -> Arguments:
    """Raises `UsageError`."""
    found, rest = Arguments(), iter(words)
    for word in rest:
        if word == "--":
            found.recipients += rest
        elif word.startswith("--"):
            _long(found, word, rest)
        elif word.startswith("-") and len(word) > 1:
            _short(found, word[1:], rest)
        else:
            found.recipients.append(word)
    return found


def _long(found: Arguments, word: str, rest: Iterator[str]) -> None:
    name, given, value = word[2:].partition("=")
    if name == "help":
        raise UsageError(_USAGE, os.EX_OK)
    if name not in {"server", "config"}:
        raise UsageError(f"unknown option {word}\n{_USAGE}")
    setattr(found, name, value if given else _value(word, rest))


def _short(found: Arguments, letters: str, rest: Iterator[str]) -> None:
    """One word of options: several that take no value, and perhaps one that does at its end."""
    while letters:
        option, letters = letters[0], letters[1:]
        if option == "b":
            _mode(letters)
            return
        if option in _WITH_VALUE:
            value = letters if letters or option in _SAME_WORD else _value(f"-{option}", rest)
            _set(found, option, value)
            return
        _flag(found, option)


def _set(found: Arguments, option: str, value: str) -> None:
    match option:
        case "f" | "r":
            found.sender = value.removeprefix("<").removesuffix(">")
        case "F":
            # It becomes a header field: a line end in it, such as a form on a web page may bring, must not begin another one.
            found.name = " ".join("".join(one if one.isprintable() else " " for one in value).split())
        case "N":
            if not value.replace(",", "").isalpha():
                raise UsageError(f"-N {value!a}: it is never, or a list of success, failure and delay")
            found.notify = value.upper()
        case "o":
            # -oi; of all others, such as -oem, none changes the mail.
            found.ignore_dots |= value == "i"
        case _:
            return


def _flag(found: Arguments, option: str) -> None:
    match option:
        case "t":
            found.from_headers = True
        case "i":
            found.ignore_dots = True
        case "v":
            found.verbose = True
        case _ if option not in _IGNORED:
            raise UsageError(f"unknown option -{option}\n{_USAGE}")


def _mode(letters: str) -> None:
    """-bm is what it does anyway."""
    if letters != "m":
        hint = _MODES.get(letters[:1], "unknown mode")
        raise UsageError(f"-b{letters} is not supported: {hint}")


def _value(option: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise UsageError(f"{option} needs a value\n{_USAGE}")
    return value
