r"""The text of a text part.

In: a leaf. Out: its text with `\n` line ends, without NUL; whether octets were replaced; files that were pasted in by uuencode.
Never: an exception, whatever the charset or the encoding claims.
"""

from qboxrelay.mime.charset import decode
from qboxrelay.mime.content import octets_of
from qboxrelay.mime.entity import Entity
from qboxrelay.mime.flowed import unflow
from qboxrelay.mime.slices import replace
from qboxrelay.mime.uuencode import extract_files


def read_text(entity: Entity) -> tuple[str, bool, list[tuple[str, bytes]]]:
    """Decode a text part: transfer encoding, charset, line ends, flowed lines, pasted files."""
    parameters = entity.type.parameters
    octets = octets_of(entity.raw, entity.start, entity.end, entity.encoding)
    is_html = entity.type.value == "text/html"
    text, replaced = decode(octets, parameters.get("charset"), html=is_html)
    if "\r" in text:
        # CR CR LF is one line end that some host made of CRLF; what is left of CR are line ends of their own.
        for line_end in ("\r\n", "\r\n", "\r"):
            text = replace(text, line_end, "\n")
    if is_html:
        return text, replaced, []
    if "format" in parameters and parameters["format"].lower() == "flowed":
        text = unflow(text, delete_space=entity.type.get("delsp").lower() == "yes")
    text, files = extract_files(text)
    return text, replaced, files
