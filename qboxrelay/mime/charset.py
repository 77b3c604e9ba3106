"""From bytes in some charset to text, whatever the label says.

In: bytes and the label a sender wrote. Out: text without NUL or lone surrogates, and whether octets had to be replaced.
Never: an exception, or a codec of Python's that is no charset (`zip`, `idna`, `unicode_escape`).

Labels are read as browsers read them (WHATWG Encoding Standard §4.2): a label names the superset that its users really write, so
iso-8859-1 is windows-1252 and gb2312 is gb18030. Labels that mail knows and the Web does not (utf-7, iso-2022-kr, ibm850) are added.
"""

import codecs
import re
from collections.abc import Iterable
from functools import lru_cache

from qboxrelay.mime.iso2022 import decode_iso2022_jp
from qboxrelay.mime.slices import DECODED, decoded, find, pieces, replace

_SUPERSETS = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "utf-8-sig": "utf-8",
}
"""Python's canonical codec name -> the codec that reads what is really sent under it."""

_ALIASES = {
    "utf8": "utf-8", "unicode-1-1-utf-8": "utf-8", "utf-8mb4": "utf-8", "cp65001": "utf-8", "x-utf-8": "utf-8",
    "unicode-1-1-utf-7": "utf-7", "x-unicode-2-0-utf-7": "utf-7", "csutf7": "utf-7",
    "unicode": "utf-16", "ucs-2": "utf-16", "iso-10646-ucs-2": "utf-16", "csunicode": "utf-16",
    "ks-c-5601-1987": "cp949", "ks-c-5601-1989": "cp949", "ks-c-5601": "cp949", "ksc5601": "cp949", "ksc-5601": "cp949",
    "korean": "cp949", "iso-ir-149": "cp949", "csksc56011987": "cp949", "x-windows-949": "cp949", "windows-949": "cp949",
    "x-sjis": "cp932", "ms-kanji": "cp932", "sjis": "cp932", "windows-31j": "cp932", "shift-jisx0213": "shift_jisx0213",
    "x-ms-cp932": "cp932", "x-euc-jp": "euc_jp", "x-euc": "euc_jp", "eucjp": "euc_jp",
    "x-gbk": "gb18030", "chinese": "gb18030", "gb-2312-80": "gb18030", "iso-ir-58": "gb18030", "csgb2312": "gb18030",
    "gb2312-1980": "gb18030", "gb-2312": "gb18030", "euc-cn": "gb18030", "x-euc-cn": "gb18030", "hz-gb-2312": "hz",
    "x-x-big5": "big5hkscs", "big5-eten": "big5hkscs", "cn-big5": "big5hkscs", "x-big5": "big5hkscs", "csbig5": "big5hkscs",
    "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8", "visual": "iso8859-8", "logical": "iso8859-8",
    "iso-8859-6-i": "iso8859-6", "iso-8859-6-e": "iso8859-6",
    "macintosh": "mac_roman", "x-mac-roman": "mac_roman", "mac": "mac_roman", "apple-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic", "x-mac-ukrainian": "mac_cyrillic", "x-mac-ce": "mac_latin2", "x-mac-centraleurroman": "mac_latin2",
    "koi": "koi8-r", "koi8": "koi8-r", "koi8-ru": "koi8-u", "cskoi8r": "koi8-r", "dos-874": "cp874",
    "ansi": "cp1252", "x-ansi": "cp1252", "latin": "cp1252", "western": "cp1252", "x-user-defined": "cp1252",
}  # fmt: skip
"""Labels that Python does not know, or knows as something narrower."""

_NUMBERED = re.compile(r"(?:x-)?(?:windows|cp|ibm|ms|win|ansi|dos|oem)-?0*(\d{3,5})")
_ISO_8859 = re.compile(r"(?:x-)?iso-?8859-?0*(\d{1,2})")
_CHARSETS = ("cp", "iso", "mac", "koi8", "gb", "big5", "euc", "shift", "utf", "johab", "hz", "tis", "kz", "ptcp", "hp")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_WIDE = ("utf-7", "utf-16", "utf-32")


@lru_cache(maxsize=512)
def codec_for(label: str) -> str | None:
    """The Python codec for a charset label; None for what says nothing about octets above 127: us-ascii, unknown names."""
    key = label.strip(" \t\"'<>").lower().split(";")[0].split("(")[0].strip().replace("_", "-").removeprefix("charset=")
    name = _ALIASES.get(key) or _spelled(key)
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    if not info.name.startswith(_CHARSETS):
        return None
    return _SUPERSETS.get(info.name, info.name)


def _spelled(key: str) -> str:
    if match := _ISO_8859.fullmatch(key):
        return f"iso8859-{match[1]}"
    if match := _NUMBERED.fullmatch(key):
        return f"cp{match[1]}"
    return key if key.isascii() and key else "undeclared"


def decode(data: bytes, label: str | None, *, html: bool = False) -> tuple[str, bool]:
    """The text of `data`, and whether octets had to be replaced by U+FFFD.

    The declared charset; without one, or with one that says nothing, UTF-8 if it is valid, for HTML what its meta element
    declares, else windows-1252.
    """
    codec = codec_for(label) if label else None
    if codec is None and b"\x1b" in data and find(data, b"\x1b$", 0, len(data)) >= 0:
        # No other text holds the escape sequence of JIS: Japanese programs that send it without a label mean it. To look for one octet first
        # takes a twentieth of the time.
        codec = "iso2022_jp"
    if codec is None or codec == "utf-8":
        text = _utf8(data)
        if text is not None:
            return _clean(text), False
        codec = codec or (_meta_codec(data) if html else None) or "cp1252"
    if codec == "cp1252" and "8859" in (label or "") and is_utf8(data):
        # Octets 80 to 9F are windows-1252 punctuation, unless they are the second halves of UTF-8 characters.
        codec = "iso8859-1"
    codec = _with_byte_order(codec, data)
    text = None if codec == "utf-8" else _strictly(data, codec)
    is_whole = text is not None
    if text is None and codec == "utf-8" and not _has_utf8(data):
        # Octets above 127 and not one character of UTF-8 among them: the label is wrong.
        codec = "cp1252"
        text = _strictly(data, codec)
        is_whole = text is not None
    if text is None:
        is_jis = codec.startswith("iso2022_jp")
        text = decode_iso2022_jp(data) if is_jis else "".join(decoded(data, codec, "replace"))
    wide = codec.startswith(_WIDE)
    text = _clean(text, wide=wide)
    return text, "\ufffd" in text and (wide or not is_whole)


def _with_byte_order(codec: str, data: bytes) -> str:
    """UTF-16 and UTF-32 as their byte order mark tells, else as ASCII text in them would stand, else as Windows writes them."""
    if codec not in {"utf-16", "utf-32"}:
        return codec
    is_big = data.startswith((b"\xfe\xff", b"\x00\x00\xfe\xff", b"\x00"))
    return f"{codec}-be" if is_big else f"{codec}-le"


def _utf8(data: bytes) -> str | None:
    """UTF-8, or CESU-8 (Unicode Technical Report 26): Oracle and Java write halves of surrogate pairs for what stands beyond U+FFFF."""
    try:
        return data.decode() if len(data) <= DECODED else "".join(decoded(data, "utf-8", "strict"))
    except UnicodeDecodeError:
        return _cesu8(data) if b"\xed" in data else None


def _cesu8(data: bytes) -> str | None:
    try:
        return _paired(decoded(data, "utf-8", "surrogatepass"), "strict")
    except UnicodeDecodeError:
        return None


def is_utf8(data: bytes) -> bool:
    """Whether it is nothing but UTF-8, ASCII included."""
    return _utf8(data) is not None


def _has_utf8(data: bytes) -> bool:
    """Whether a character of more than one octet stands there."""
    return not all(map(str.isascii, decoded(data, "utf-8", "ignore")))


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec) if len(data) <= DECODED else "".join(decoded(data, codec, "strict"))
    except UnicodeError:
        return None


def _meta_codec(data: bytes) -> str | None:
    match = _META_CHARSET.search(data, 0, 2048)
    return codec_for(match[1].decode("ascii")) if match else None


def _clean(text: str, *, wide: bool = False) -> str:
    if text[:1] == "\ufeff":
        text = text[1:]
    if "\x00" in text:
        text = replace(text, "\x00", "")
    if wide and not text.isascii():
        # Only these codecs can yield half of a surrogate pair, which JSON text cannot hold.
        text = _paired(pieces(text, DECODED), "replace")
    return text


def _paired(texts: Iterable[str], errors: str) -> str:
    """Text whose halves of surrogate pairs are joined; `errors` says what becomes of those that stand alone."""
    decoder = codecs.getincrementaldecoder("utf-16-le")(errors)
    whole = [decoder.decode(text.encode("utf-16-le", "surrogatepass")) for text in texts]
    return "".join([*whole, decoder.decode(b"", final=True)])
