"""`[mapping]`: from MIME to the Send API."""

from typing import Literal

from qboxrelay.settings.typed import Field
from qboxrelay.settings.types import Section


class MappingSettings(Section):
    """Choices where the API's JSON cannot say what MIME said."""

    empty_subject: str = "(no subject)"
    """What stands in for a missing subject: the API requires one."""
    unrepresentable: Literal["attach", "reject"] = "attach"
    """Encrypted and opaque-signed mail cannot be expressed as JSON fields: send it as an .eml attachment, or refuse it."""
    max_recipients_per_submission: int = Field(default=100, ge=1)
    """More recipients than this become several submissions with the same content. The API documents no limit."""
    drop_headers: tuple[str, ...] = ()
    """Further header fields that are not passed on; the structural ones never are."""
    pass_date: bool = False
    """Pass the Date field on as a custom header."""
