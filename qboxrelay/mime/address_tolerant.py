"""Address fields as they are really written.

In: the text of an address field. Out: `Found`. Never: an exception, more than one look at each token.

Read are: groups, nested comments, quoted strings, routes, domain literals, encoded words anywhere, UTF-8; and by way of repair
commas, dots and at signs in names without quotes, missing brackets, blanks around the at sign, semicolons between addresses.
Of addresses separated by nothing but a blank the first counts, as other readers have it.
"""

import re
from dataclasses import dataclass, field

from qboxrelay.mime.address_spec import read_address
from qboxrelay.mime.words import decode_words, one_line
from qboxrelay.model.address import Mailbox

_TOKEN = re.compile(
    r"(?P<blank>[\s\x00-\x20]+)"
    r"|(?P<word>=\?[^?\s]{1,75}+\?[bBqQ]\?[^?]*+\?=)"
    r'|(?P<quoted>"[^"\\]*+(?:\\.[^"\\]*+)*+"?)'
    r"|(?P<escaped>\\.)"
    r"|(?P<literal>\[[^\[\]]*+\])"
    r"|(?P<special>[(),:;<>\[\]])"
    r'|(?P<atom>(?:(?!=\?[^?\s]{1,75}+\?[bBqQ]\?)[^\s\x00-\x20"(),:;<>\[\]\\]){1,1000}+|.)',
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MAX_COMMENT_DEPTH = 50
_MAX_NAME = 10_000
"""Characters of one name or comment; what stands beyond them is not read."""
_MAX_NAME_COMMAS = 20
"""A name with more, and no quotes, is a list of words that are no addresses."""


@dataclass(slots=True)
class Found:
    """What a field holds; the same as `AddressList`, while it is being read."""

    mailboxes: list[Mailbox] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    """What stands between two commas. A chunk is what stands together without a blank, kept as its tokens."""

    tokens: list[list[str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    angles: list[str] = field(default_factory=list)
    size: int = 0
    has_at: bool = False
    glued: bool = False
    """The next token stands directly behind the last one."""

    @property
    def chunks(self) -> list[str]:
        return ["".join(chunk) for chunk in self.tokens]

    @property
    def is_empty(self) -> bool:
        return not (self.tokens or self.comments or self.angles)

    def add(self, text: str) -> None:
        self.size += len(text)
        if self.size > _MAX_NAME:
            return
        if self.glued and self.tokens:
            self.tokens[-1].append(text)
        else:
            self.tokens.append([text])
        self.has_at = self.has_at or "@" in text
        self.glued = True


def read_tolerantly(value: str) -> Found:
    """Every mailbox that can be made out."""
    return _Reader(value).read()


class _Reader:
    """One pass over the tokens of one field."""

    def __init__(self, value: str) -> None:
        self._tokens = _TOKEN.finditer(value)
        self._found = Found()
        self._item = _Item()
        self._pending: list[str] = []
        """Words that ended in a comma before any address came: a name such as `Doe, John`, or nothing usable."""

    def read(self) -> Found:
        for token in self._tokens:
            text = token[0]
            match token.lastgroup:
                case "blank":
                    self._item.glued = False
                case "special":
                    self._special(text)
                case _:
                    self._item.add(text)
        self._end_item(";")
        return self._found

    def _special(self, text: str) -> None:
        match text:
            case "(":
                self._item.comments.append(self._comment())
                self._item.glued = False
            case "<":
                self._item.angles.append(self._angle())
                self._item.glued = False
            case "," | ";":
                self._end_item(text)
            case ":":
                self._colon()
            case _:
                # A bracket without its other half says nothing.
                self._item.glued = False

    def _comment(self) -> str:
        depth = 1
        pieces: list[str] = []
        for token in self._tokens:
            depth += {"(": 1, ")": -1}.get(token[0], 0)
            if depth == 0 or depth > _MAX_COMMENT_DEPTH:
                break
            pieces.append(token[0][1:] if token.lastgroup == "escaped" else token[0])
        return _shown("".join(pieces)[:_MAX_NAME])

    def _angle(self) -> str:
        pieces: list[str] = []
        for token in self._tokens:
            if token[0] == ">":
                break
            if token[0] == "(":
                self._item.comments.append(self._comment())
                continue
            pieces.append(token[0])
        return "".join(pieces)

    def _colon(self) -> None:
        """`Name:` opens a group (RFC 5322 §3.4), unless an address came before it."""
        item = self._item
        if item.angles or item.has_at:
            item.add(":")
            return
        name = _shown(" ".join([*self._pending, *item.chunks]))
        if name and name.lower() != "mailto":
            self._found.groups.append(name)
        self._pending = []
        self._item = _Item()

    def _end_item(self, separator: str) -> None:
        if not self._item.is_empty:
            item, self._item = self._item, _Item()
            self._add(item)
        if separator == ";" and self._pending:
            self._drop_pending()

    def _add(self, item: _Item) -> None:
        named = next(filter(None, map(read_address, item.angles)), None)
        if named is not None:
            name = _shown(", ".join([*self._pending, " ".join(item.chunks)]).strip(", "))
            self._pending = []
            self._found.mailboxes.append(Mailbox(named, name or " ".join(item.comments)))
            return
        if not self._bare(item):
            self._pending.append(" ".join([*item.chunks, *item.angles]))
            if len(self._pending) > _MAX_NAME_COMMAS:
                self._drop_pending()

    def _bare(self, item: _Item) -> bool:
        """An address without brackets: the words before it are its name, else a comment is; a second address is no list."""
        name: list[str] = []
        address = None
        rest: list[str] = []
        for chunk in item.chunks:
            if address is None and "@" in chunk:
                address = read_address(chunk)
                if address is not None:
                    continue
            (name if address is None else rest).append(chunk)
        if address is None:
            # Blanks around the at sign are obsolete syntax (RFC 5322 §4.4).
            address, name = read_address("".join(item.chunks)), []
            if address is None:
                return False
        self._drop_pending()
        self._found.unusable += [chunk for chunk in rest if "@" in chunk]
        shown = _shown(" ".join(name)) or " ".join(item.comments)
        self._found.mailboxes.append(Mailbox(address, shown))
        return True

    def _drop_pending(self) -> None:
        self._found.unusable += self._pending
        self._pending = []


def _shown(text: str) -> str:
    """A name as people read it: quotes taken off, encoded words decoded, blanks collapsed."""
    if '"' in text:
        text = _QUOTED.sub(lambda match: _ESCAPED.sub(r"\1", match[1]), text)
    return " ".join(one_line(decode_words(text)).split())


_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"?', re.DOTALL)
