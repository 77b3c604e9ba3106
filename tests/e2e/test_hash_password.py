"""`qboxrelay hash-password` as people and scripts use it."""

import os
import pty
import subprocess
import sys

import argon2
import pytest

from qboxrelay.settings.password_hash import parse_password_hash

COMMAND = [sys.executable, "-m", "qboxrelay", "hash-password"]


def piped(text: bytes) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(COMMAND, input=text, capture_output=True, timeout=60, check=False)


def typed(*lines: bytes) -> tuple[int, str]:
    """The exit status and all that a terminal shows, when these lines are typed into it one prompt at a time."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(COMMAND, stdin=inside, stdout=inside, stderr=inside, start_new_session=True)
    os.close(inside)
    shown = b""
    try:
        for line in lines:
            shown += until_prompt(terminal)
            os.write(terminal, line + b"\n")
        while piece := read(terminal):
            shown += piece
        return process.wait(60), shown.decode()
    finally:
        process.kill()
        process.wait(60)
        os.close(terminal)


def until_prompt(terminal: int) -> bytes:
    shown = b""
    while not shown.endswith(b": "):
        piece = read(terminal)
        assert piece, shown
        shown += piece
    return shown


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux ends a terminal so
        return b""


@pytest.mark.parametrize("text", [b"hunter2\n", b"hunter2", b"hunter2\r\n", b"hunter2\nand more\n"])
def test_from_standard_input(text: bytes) -> None:
    """The first line without its end; the line that is printed goes into the configuration as it is."""
    run = piped(text)

    assert (run.returncode, run.stderr) == (0, b"")
    line = run.stdout.decode().removesuffix("\n")
    assert parse_password_hash(line) is not None
    assert argon2.PasswordHasher().verify(line, b"hunter2")


def test_the_same_password_twice() -> None:
    """Salted: nobody sees that two users have the same."""
    assert piped(b"hunter2\n").stdout != piped(b"hunter2\n").stdout


def test_bytes_stay_as_they_are() -> None:
    """Whatever charset a device speaks, its password can be hashed; blanks count."""
    run = piped(b" gr\xfcn \n")

    assert argon2.PasswordHasher().verify(run.stdout.decode().strip(), b" gr\xfcn ")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (b"", b"the password is empty"),
        (b"\n", b"the password is empty"),
        (b"hunter\0two\n", b"control characters"),
        (b"x" * 1025, b"longer than 1024 octets"),
    ],
)
def test_what_is_no_password(text: bytes, wrong: bytes) -> None:
    """One line on standard error, and nothing that could be taken for a hash."""
    run = piped(text)

    assert (run.returncode, run.stdout) == (1, b"")
    assert run.stderr.startswith(b"qboxrelay: the password ")
    assert wrong in run.stderr


def test_from_a_terminal() -> None:
    """Asked twice, never shown."""
    status, shown = typed("hünter2".encode(), "hünter2".encode())

    assert status == 0
    assert "nter2" not in shown
    line = shown.strip().splitlines()[-1]
    assert argon2.PasswordHasher().verify(line, "hünter2")


def test_typed_differently() -> None:
    """A slip is noticed before it is in the configuration."""
    status, shown = typed(b"hunter2", b"hunter3")

    assert status == 1
    assert "the two differ" in shown
    assert "argon2" not in shown


def test_never_as_an_argument() -> None:
    """Others on the machine could read it."""
    run = subprocess.run([*COMMAND, "hunter2"], capture_output=True, timeout=60, check=False)

    assert run.returncode == 2
    assert run.stdout == b""
