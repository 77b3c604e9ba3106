"""Which parts of the tree are the body, and which are attachments (RFC 2046 §5.1, RFC 2183).

In: the tree. Out: `Gathered`: pieces of body in order, leaves to be attached in order, losses. Never: a leaf that is in neither.
"""

from dataclasses import dataclass, field
from html import escape

from qboxrelay.mime.entity import Entity
from qboxrelay.mime.limits import bounded
from qboxrelay.mime.slices import pieces
from qboxrelay.mime.text import read_text
from qboxrelay.model.message import Loss

REPLACED = Loss("octets that are no text in the declared charset", "charset")


@dataclass(slots=True)
class Piece:
    """A stretch of body: `text`, `html`, or both when they are alternatives of one another."""

    text: str | None = None
    html: str | None = None

    @property
    def is_visible(self) -> bool:
        return bool((self.text and not self.text.isspace()) or (self.html and not self.html.isspace()))


@dataclass(slots=True, eq=False)
class Pasted:
    """A file that stood in the text: its uuencoded lines."""

    name: str
    lines: bytes


@dataclass(slots=True)
class Gathered:
    """What a subtree yields."""

    pieces: list[Piece] = field(default_factory=list)
    attachments: list[Entity | Pasted] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def add(self, other: "Gathered") -> None:
        self.pieces += other.pieces
        self.attachments += other.attachments
        self.losses += other.losses

    @property
    def has_html(self) -> bool:
        for piece in self.pieces:  # noqa: SIM110 - a generator costs four times as much, and every mail comes by here
            if piece.html is not None:
                return True
        return False

    @property
    def is_visible(self) -> bool:
        return any(piece.is_visible for piece in self.pieces)

    def text(self) -> str | None:
        """The plain text, pieces joined in order; None without any, and where the mail begins with HTML that has none beside it.

        Text behind such HTML, a list's footer, would be shown in its place.
        """
        if len(self.pieces) == 1:
            return self.pieces[0].text
        begin = next((piece for piece in self.pieces if piece.is_visible), None)
        if begin is not None and begin.text is None:
            return None
        return _joined([piece.text for piece in self.pieces if piece.text is not None])

    def html(self) -> str | None:
        """The HTML, pieces joined in order; None without any. Text beside it is put in: who reads the HTML shall see it too."""
        if len(self.pieces) == 1:
            return self.pieces[0].html
        if not self.has_html:
            return None
        return _joined([_as_html(piece.text or "") if piece.html is None else piece.html for piece in self.pieces])


def gather(entity: Entity) -> Gathered:
    """Body and attachments of the whole mail."""
    return _gather(entity, first=True, alternative=False)


def _gather(entity: Entity, *, first: bool, alternative: bool) -> Gathered:
    if entity.children:
        match entity.type.value:
            case "multipart/alternative":
                return _alternative(entity, first=first)
            case "multipart/related":
                return _related(entity, first=first, alternative=alternative)
            case "multipart/signed":
                return _signed(entity, first=first, alternative=alternative)
            case _:
                return _mixed(entity, first=first)
    if _is_body(entity, first=first, alternative=alternative):
        return _leaf(entity)
    return Gathered(attachments=[entity])


def _is_body(entity: Entity, *, first: bool, alternative: bool) -> bool:
    """Shown text. A text part with a name is an attachment unless it is what the mail begins with."""
    if entity.type.value not in {"text/plain", "text/html"}:
        return False
    disposition = entity.disposition
    if disposition.value == "attachment":
        return False
    filed = disposition.get("filename")
    return not (filed or entity.type.get("name")) or alternative or (first and not filed)


def _leaf(entity: Entity) -> Gathered:
    text, replaced, pasted = read_text(entity)
    losses = [REPLACED] if replaced else []
    piece = Piece(html=text) if entity.type.value == "text/html" else Piece(text=text)
    files: list[Entity | Pasted] = [Pasted(name, lines) for name, lines in pasted] if pasted else []
    return Gathered([piece], files, losses)


def _mixed(entity: Entity, *, first: bool) -> Gathered:
    gathered = Gathered()
    for child in entity.children:
        gathered.add(_gather(child, first=first and not gathered.pieces, alternative=False))
    return gathered


def _alternative(entity: Entity, *, first: bool) -> Gathered:
    """The last, thus best, text and the last HTML (§5.1.4); alternatives of other kinds are attached."""
    found = [_gather(child, first=first, alternative=True) for child in entity.children]
    text = html = None
    for each in found:
        if each.has_html:
            html = _better(html, each)
        elif each.pieces:
            text = _better(text, each)
    text = text or html
    gathered = Gathered()
    if text is not None:
        gathered.pieces.append(Piece(text.text(), html.html() if html else None))
    for child, each in zip(entity.children, found, strict=True):
        gathered.attachments += each.attachments
        gathered.losses += each.losses
        if each.is_visible and each is not text and each is not html:
            attached = set(each.attachments)
            gathered.attachments += [leaf for leaf in _leaves(child) if leaf not in attached]
    return gathered


def _better(so_far: Gathered | None, later: Gathered) -> Gathered:
    """The later one, unless it is empty: a part that a sender left behind is no alternative."""
    return later if so_far is None or later.is_visible else so_far


def _related(entity: Entity, *, first: bool, alternative: bool) -> Gathered:
    """The root (RFC 2387 §3.2: `start`, else the first part) is shown, the others belong to it."""
    start = entity.type.get("start").strip("<> ")
    children = entity.children
    root = next((child for child in children if start and child.first("content-id").strip("<> ") == start), children[0])
    gathered = _gather(root, first=first, alternative=alternative)
    for child in children:
        if child is not root:
            gathered.attachments += _leaves(child)
    return gathered


def _signed(entity: Entity, *, first: bool, alternative: bool) -> Gathered:
    """The first part is the content (RFC 1847 §2.1). The API composes anew, so that no signature will match."""
    gathered = _gather(entity.children[0], first=first, alternative=alternative)
    gathered.losses.append(Loss("the signature no longer matches the content", "signature_broken"))
    for child in entity.children[1:]:
        gathered.attachments += _leaves(child)
    return gathered


def _leaves(entity: Entity) -> list[Entity]:
    if not entity.children:
        return [entity]
    return [leaf for child in entity.children for leaf in _leaves(child)]


def _joined(pieces: list[str]) -> str | None:
    if not pieces:
        return None
    written = [piece for piece in pieces if piece]
    if len(written) < 2:
        return written[0] if written else ""
    return "\n".join([piece.removesuffix("\n") for piece in written]) + "\n"


def _as_html(text: str) -> str:
    if not text.strip():
        return ""
    written = "".join(bounded(escape(piece, quote=False) for piece in pieces(text.removesuffix("\n"))))
    return f'<pre style="white-space: pre-wrap">{written}</pre>'
