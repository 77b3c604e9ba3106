"""What proves who a user is, from the configuration, files and systemd credentials."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from qboxrelay.settings.problem import SettingsError
from qboxrelay.settings.types import Secret
from qboxrelay.settings.user_secrets import UserSecrets
from qboxrelay.settings.verify import Verified, load_verified
from tests.support.logins import cheap_hash

STRONG = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


def verified(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Verified:
    file = tmp_path / "qboxrelay.toml"
    file.write_text(text)
    variables = {"QBOXRELAY_TOKEN_DEFAULT": "a-token", "QBOXRELAY_RELAY_DATA_DIR": str(tmp_path), **(environ or {})}
    return load_verified(file, variables)


def listener(**keys: str) -> str:
    lines = {"auth": '"optional"', "auth_without_tls": "true", **keys}
    return "[[listeners]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def secret_file(path: Path, text: str) -> Path:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_from_everywhere(tmp_path: Path) -> None:
    """In the file, in a file of its own, in the credentials directory; CRAM-MD5 beside it or alone."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    secret_file(tmp_path / "b.hash", STRONG)
    secret_file(credentials / "c.secret", "hunter2")
    text = (
        listener(auth_mechanisms='["PLAIN", "LOGIN", "CRAM-MD5"]')
        + f"""
[[users]]
name = "a"
password_hash = "{STRONG}"
[[users]]
name = "b"
password_hash_file = "b.hash"
cram_md5_secret_file = "c.secret"
[[users]]
name = "c"
cram_md5_secret_file = "c.secret"
"""
    )

    found = verified(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(credentials)})

    assert found.users == {
        "a": UserSecrets(password_hash=Secret(STRONG)),
        "b": UserSecrets(password_hash=Secret(STRONG), cram_md5=Secret("hunter2")),
        "c": UserSecrets(cram_md5=Secret("hunter2")),
    }
    assert found.warnings == ()
    assert "hunter2" not in repr(found)
    assert STRONG not in repr(found)


@pytest.mark.parametrize(
    ("key", "content", "wrong"),
    [
        ("password_hash_file", None, "does not exist"),
        ("password_hash_file", "hunter2", "holds a line that is not an argon2 hash; make one with"),
        ("password_hash_file", "", "is empty"),
        ("cram_md5_secret_file", "two words", "holds white space"),
        ("cram_md5_secret_file", None, "does not exist"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, key: str, content: str | None, wrong: str) -> None:
    """One problem each, at the key, without the content."""
    if content is not None:
        secret_file(tmp_path / "secret", content)
    text = listener() + f'[[users]]\nname = "a"\n{key} = "secret"\n[[users]]\nname = "b"\npassword_hash = "{STRONG}"\n'

    with pytest.raises(SettingsError) as caught:
        verified(tmp_path, text)

    (problem,) = caught.value.problems
    assert problem.key == f"users[0].{key}"
    assert wrong in str(problem)
    assert "hunter2" not in str(problem)


def test_warnings(tmp_path: Path) -> None:
    """What works and should be mended all the same."""
    weak = secret_file(tmp_path / "weak.hash", cheap_hash("hunter2"))
    weak.chmod(0o644)
    secret_file(tmp_path / "c.secret", "hunter2")
    text = (
        listener(address='"192.0.2.1:2525"', allow_networks='["192.0.2.0/24"]')
        + '[[users]]\nname = "a"\npassword_hash_file = "weak.hash"\n'
        + '[[users]]\nname = "c"\ncram_md5_secret_file = "c.secret"\n'
    )

    said = "\n".join(verified(tmp_path, text).warnings)

    assert "the password hash of the user a is cheap to guess from" in said
    assert f"the file {weak} is open to every user of this machine" in said
    assert "the user c cannot log in on the listener smtp, which offers PLAIN, LOGIN only" in said
    assert "on the listener smtp passwords may travel in clear text" in said


def test_users_without_a_door(tmp_path: Path) -> None:
    """No listener asks for them."""
    found = verified(tmp_path, f'[[users]]\nname = "a"\npassword_hash = "{STRONG}"\n')

    assert found.warnings == (
        'there are users, but no listener lets them log in: write auth = "optional" or "required" there',
    )
