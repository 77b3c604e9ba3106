"""Charsets, encoded words, flowed lines and pasted files."""

import base64

import pytest

from qboxrelay.mime.charset import codec_for, decode
from qboxrelay.mime.flowed import unflow
from qboxrelay.mime.parse import parse
from qboxrelay.mime.uuencode import decoded, extract_files
from qboxrelay.mime.words import decode_words


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf-8"), ("utf8", "utf-8"), ('"utf-8"', "utf-8"), ("charset=utf-8", "utf-8"), ("utf-8; format=flowed", "utf-8"),
        ("ISO-8859-1", "cp1252"), ("iso8859_15", "iso8859-15"), ("latin1", "cp1252"), ("windows-1251", "cp1251"), ("cp-850", "cp850"),
        ("x-cp1250", "cp1250"), ("ks_c_5601-1987", "cp949"), ("gb2312", "gb18030"), ("GBK", "gb18030"), ("big5", "big5hkscs"),
        ("shift_jis", "cp932"), ("iso-2022-jp", "iso2022_jp"), ("iso-8859-8-i", "iso8859-8"), ("unicode-1-1-utf-7", "utf-7"), ("macintosh", "mac-roman"),
        ("us-ascii", None), ("unknown-8bit", None), ("x-unknown", None), ("", None), ("zip", None), ("idna", None), ("unicode_escape", None),
        ("rot13", None), ("utf-8\x00", None), ("é", None), ("cp99999", None), ("hex", None), ("punycode", None),
    ],
)  # fmt: skip
def test_labels_name_the_charset_that_is_really_sent(label: str, codec: str | None) -> None:
    """Supersets as the Web has them; nothing of Python's that is no charset."""
    assert codec_for(label) == codec


@pytest.mark.parametrize(
    ("octets", "label", "text", "replaced"),
    [
        ("é".encode(), None, "é", False),
        (b"\xe9\x93", None, "é“", False),
        (b"caf\xe9", "utf-8", "café", False),
        (b"\xc3\xa9 caf\xe9", "utf-8", "é caf\ufffd", True),
        (b"\x81", "utf-8", "\ufffd", True),
        (b"\x93ok\x94", "iso-8859-1", "“ok”", False),
        ("Æ".encode(), "iso-8859-1", "Ã\x86", False),
        (b"\xb0\xa1\x81\x41", "ks_c_5601-1987", "가갂", False),
        ("\ufefftext\x00".encode(), "utf-8", "text", False),
        (b"+2AA-", "utf-7", "\ufffd", True),
        (b"\x1b$B-!\x1b(B \x1b(I1\x1b(B", "iso-2022-jp", "① ｱ", False),
        (b"a\xe9", "iso-2022-jp", "a\ufffd", True),
        (b"\x1b$B\xff!!\x1b(Jx\x1b$Bxy\nz", "iso-2022-jp", "\ufffd\ufffdx\ufffd\nz", True),
        (b"\x1b$B\xff\x1b.Atext", "iso-2022-jp", "\ufffd\ufffd.Atext", True),
    ],
)  # fmt: skip
def test_octets_become_text_whatever_the_label(octets: bytes, label: str | None, text: str, replaced: bool) -> None:
    """Declared, else UTF-8, else windows-1252; U+FFFD at worst."""
    assert decode(octets, label) == (text, replaced)


def test_html_without_a_declared_charset_tells_it_in_a_meta_element() -> None:
    """As browsers read it: the charset of the meta element, if the octets are no UTF-8."""
    html = b'<html><meta http-equiv="Content-Type" content="text/html; charset=koi8-r">\xf0\xd2'

    assert decode(html, None, html=True)[0].endswith("Пр")
    assert decode(html.replace(b"koi8-r", b"nonsense"), None, html=True)[0].endswith("ðÒ")
    assert decode(b"\xf0", None, html=True)[0] == "ð"


_LABELS = [
    "utf-8",
    "utf-7",
    "utf-16",
    "utf-32",
    "iso-2022-jp",
    "iso-2022-kr",
    "gb18030",
    "big5",
    "euc-jp",
    "shift_jis",
    "koi8-r",
    "hz",
]


@pytest.mark.parametrize("label", _LABELS)
def test_large_text_reads_as_small_text_does(label: str) -> None:
    """Slices do not show, whatever a charset keeps in mind from one to the next."""
    line = "".join(each for each in "Größe 日本語 한국어 Привет" if _can_say(each, label)) + "\n"
    encoded = (line * 20_000).encode(codec_for(label) or "")

    assert decode(encoded, label) == (line * 20_000, False)


def _can_say(character: str, label: str) -> bool:
    try:
        return bool(character.encode(codec_for(label) or ""))
    except UnicodeEncodeError:
        return False


@pytest.mark.parametrize("label", _LABELS)
@pytest.mark.parametrize("octets", [b"\xff\x81", b"a\x00", b"\x1b$B\xff", b"~{+\xc3", b"\xd8\x00"])
def test_large_junk_is_read_in_every_charset(label: str, octets: bytes) -> None:
    """Never an exception: a byte order mark that is missing, a character that has no end."""
    text, _ = decode(octets * 100_000 + b"\xc3", label)

    assert text.encode()


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_the_byte_order_is_told_by_its_mark_or_by_ascii_text(codec: str) -> None:
    """RFC 2781 §4.3 wants big-endian without a mark; Windows writes little-endian, and text that begins in ASCII tells."""
    assert decode("\ufeffHällo".encode(codec), codec[:6]) == ("Hällo", False)
    assert decode("Hällo".encode(codec), codec[:6]) == ("Hällo", False)


def test_text_in_halves_of_surrogate_pairs_is_read() -> None:
    """CESU-8, with and without a label; a half that is alone is not."""
    assert decode(b"caf\xc3\xa9 \xed\xa0\xbd\xed\xb8\x80", "utf-8") == ("café 😀", False)
    assert decode(b"\xed\xa0\xbd\xed\xb8\x80", None) == ("😀", False)
    assert decode(b"\xc3\xa9 \xed\xa0\xbd", "utf-8") == ("é \ufffd\ufffd\ufffd", True)


def test_jis_without_a_label_is_told_by_its_escape_sequences() -> None:
    """A label that says something is believed."""
    assert decode("お知らせ".encode("iso2022_jp"), None) == ("お知らせ", False)
    assert decode("お知らせ".encode("iso2022_jp"), "us-ascii") == ("お知らせ", False)
    assert decode(b"\x1b$Bx", "iso-8859-1") == ("\x1b$Bx", False)


def test_too_many_shifts_of_iso_2022_jp_are_read_in_a_hurry() -> None:
    """The careful reader is for mail, not for attacks."""
    assert decode(b"\x1b$B\xff" * 100_001, "iso-2022-jp")[1]


def test_large_flowed_text_is_joined_across_slices() -> None:
    """Lines are cut off a megabyte at a time."""
    assert unflow("abc \n" * 600_000, delete_space=True) == "abc" * 600_000


def test_large_text_is_decoded_in_slices_without_cutting_characters() -> None:
    """A character that stands across two slices is one character."""
    text = "x" * ((1 << 20) - 1) + "é" * 10

    assert decode(text.encode(), "utf-8") == (text, False)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?caf=C3=A9?=", "café"),
        ("=?utf-8?Q?a_b?= =?utf-8?Q?c?=", "a bc"),
        ("=?utf-8?b?w6k=?=\t=?UTF-8?B?w6k=?=", "éé"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?iso-8859-1?q?=E9?= =?utf-8?q?=C3=A9?=", "éé"),
        ("=?utf-8*en?q?hello?=", "hello"),
        ("x=?utf-8?q?y?=z", "xyz"),
        ("=?utf-8?q?what?_now?= ok", "what? now ok"),
        ("=?utf-8?q?with blank?=", "with blank"),
        ("=?utf-8?x?y?=", "=?utf-8?x?y?="),
        ("=?utf-8?b?!!?=", "=?utf-8?b?!!?="),
        ("a =?utf-8?b?!!?= =?utf-8?b??=", "a =?utf-8?b?!!?= "),
        ("=?utf-8?q?a=0D=0ABcc:_x?=", "a Bcc: x"),
        ("=?utf-8?b?w6k?=", "é"),
        ("a =?utf-8?q?b?= c =?utf-8?q?d?=", "a b c d"),
        ("=?nonsense?q?=E9?=", "é"),
        ("=?utf-8?b?w6k?= =?utf-8?b?w6k?=", "éé"),
        ("=?utf-8?B?w6?= =?utf-8?B?kgeA==?=", "é x"),
        ("=?utf-8?B?/w?= =?utf-8?B?/w==?=", "ÿÿ"),
        ("=?utf-8?B?w6?= =?utf-8?Q?kgeA?= x", "ÃkgeA x"),
    ],
)  # fmt: skip
def test_encoded_words_are_read_where_senders_put_them(written: str, read: str) -> None:
    """RFC 2047, and its breaches; a line end that was encoded is a blank."""
    assert decode_words(written) == read


def test_a_megabyte_of_open_encoded_words_takes_no_time() -> None:
    """The loose pattern is for short text only."""
    value = "=?utf-8?q?" * 100_000

    assert decode_words(value) == value


@pytest.mark.parametrize(
    ("flowed", "delete_space", "text"),
    [
        ("a \nb\nc", False, "a b\nc"),
        ("a \nb", True, "ab"),
        ("> a \n> b\n>> c \nd", False, "> a b\n>> c \nd"),
        (" From here\n >x", False, "From here\n>x"),
        ("-- \nAnn \nDoe", False, "-- \nAnn Doe"),
        ("a \n-- \nAnn", False, "a \n-- \nAnn"),
        ("no change", False, "no change"),
        ("", False, ""),
    ],
)  # fmt: skip
def test_flowed_text_becomes_paragraphs(flowed: str, delete_space: bool, text: str) -> None:
    """RFC 3676: soft line breaks joined, quotes kept, space-stuffing and the signature line respected."""
    assert unflow(flowed, delete_space=delete_space) == text


def test_a_file_pasted_into_text_by_uuencode_becomes_an_attachment() -> None:
    """The text keeps what stands around it."""
    message = parse(b"From: a@b.example\n\nbefore\nbegin 644 dir/cat.txt\n#0V%T\n`\nend\nafter\n")

    assert message.text_body == "before\nafter\n"
    assert [(each.filename, each.content.data()) for each in message.attachments] == [("cat.txt", b"Cat")]
    assert b"".join(message.attachments[0].content.base64()) == base64.b64encode(b"Cat")


def test_text_that_only_mentions_begin_is_text() -> None:
    """Only a whole uuencoded file is taken out."""
    for text in (
        "I\nbegin 644 things\nand end\n",
        "begin 644 a\n#0V%T\n",
        "begin anew\nend\n",
        "a\nbegin 644 a\n#0V%T",
    ):
        assert extract_files(text) == (text, [])


def test_several_pasted_files_are_all_found() -> None:
    """One behind the other, the last without a line end; a thousand false starts are enough."""
    file = "begin 644 f\n#0V%T\n`\nend"

    assert extract_files(f"{file}\n{file}") == ("", [("f", b"#0V%T\n`\n")] * 2)
    assert extract_files("begin 644 f\nx\n" * 1_001 + file)[1] == []


@pytest.mark.parametrize(
    "encoded", [b"begin 644 f\r\n#0V%T\r\n`\r\nend\r\ntrailer", b"#0V%T", b"#0V%TX", b"junk\xff\n#0V%T\n", b"\n#0V%T\n"]
)
def test_uuencode_as_transfer_encoding_is_read_with_and_without_its_frame(encoded: bytes) -> None:
    """Checksums behind lines and lines that are none are skipped."""
    assert b"".join(decoded(encoded, 0, len(encoded))) == b"Cat"
