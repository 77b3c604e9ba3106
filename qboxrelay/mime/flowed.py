r"""format=flowed text (RFC 3676) as ordinary paragraphs.

In: text with `\n` line ends. Out: text whose soft line breaks are gone, quote marks kept. Never: a change to text that is not flowed.

The API's text field cannot say format=flowed, so without this every reader would see the sender's line breaks twice.
"""

from collections.abc import Iterator

_SLICE = 1 << 20
_MAX_DEPTH = 1_000
"""Quote marks that are looked for; what stands behind them is text."""


def unflow(text: str, *, delete_space: bool) -> str:
    """Join what RFC 3676 §4.2 joins: a line that ends in a blank goes on in the next one of the same quote depth."""
    if " \n" not in text and "\n " not in text:
        return text
    pieces: list[str] = []
    open_depth = -1
    for line in _lines(text):
        content = line.lstrip(">") if len(line) <= _MAX_DEPTH else line[:_MAX_DEPTH].lstrip(">") + line[_MAX_DEPTH:]
        depth = len(line) - len(content)
        # Space-stuffing, §4.4.
        content = content.removeprefix(" ")
        signature = content == "-- "
        flows = content.endswith(" ") and not signature
        if depth != open_depth or signature:
            pieces.append(f"\n{'>' * depth} " if depth else "\n")
        pieces.append(content[:-1] if flows and delete_space else content)
        open_depth = depth if flows else -1
    return "".join(pieces)[1:]


def _lines(text: str) -> Iterator[str]:
    """The lines; cut off a slice at a time, because one call on a large text would keep every other thread waiting."""
    at = 0
    while (stop := text.find("\n", at + _SLICE)) >= 0:
        yield from text[at:stop].split("\n")
        at = stop + 1
    yield from text[at:].split("\n")
