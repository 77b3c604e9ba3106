"""`qboxrelay hash-password`: what `[[users]]` knows of a password."""

import sys

import typer

_MAX_OCTETS = 1024
"""More than any device takes, and far below what a response of AUTH holds."""


def hash_password() -> None:
    r"""Read a password, twice from a terminal or once from standard input, and print its argon2 hash for the configuration.

    Copy the printed line, between quotes, into the user it is for:

        \[\[users]]
        name = "erp"
        password_hash = "$argon2id$v=19$m=19456,t=2,p=1$..."

    or into a file of its own that password_hash_file names. The relay must be restarted to know it. The password itself is never an
    argument, because everybody on a machine can read those of others, and is kept nowhere.

    From standard input it is the first line, without its end:

        qboxrelay hash-password < password.txt
    """
    from qboxrelay.policy.login.hashing import hash_password as hashed

    try:
        password = _from_terminal() if sys.stdin.isatty() else sys.stdin.buffer.readline(_MAX_OCTETS + 2)
    except (EOFError, KeyboardInterrupt):
        raise typer.Exit(1) from None
    password = password.removesuffix(b"\n").removesuffix(b"\r")
    wrong = _fault(password)
    if wrong:
        print(f"qboxrelay: {wrong}", file=sys.stderr)
        raise typer.Exit(1)
    print(hashed(password))


def _from_terminal() -> bytes:
    import getpass

    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        print("qboxrelay: the two differ, nothing was hashed", file=sys.stderr)
        raise typer.Exit(1)
    return first.encode("utf-8", "surrogateescape")


def _fault(password: bytes) -> str:
    if not password:
        return "the password is empty"
    if len(password) > _MAX_OCTETS:
        return f"the password is longer than {_MAX_OCTETS} octets"
    # PLAIN ends its fields with NUL (RFC 4616 §2); other control characters no client lets anybody type.
    if any(octet < 0x20 or octet == 0x7F for octet in password):
        return "the password holds control characters, which clients cannot send"
    return ""
