"""`[notices]`: who hears of mail that could not be delivered."""

from qboxrelay.settings.typed import Field
from qboxrelay.settings.types import Duration, Section, parse_duration


class NoticeSettings(Section):
    """Mail about accepted mail that failed for good or is late. Never about a notice, to the null sender, or where NOTIFY=NEVER was asked."""

    to: str = "off"
    """Who is told: `off` is nobody, `sender` the envelope's sender; or one address that is told of everything."""
    from_address: str = Field(default="", examples=["postmaster@example.com"])
    """The address that notices are from; required when somebody is told. An account must be able to send for its domain."""
    from_name: str = "Mail relay"
    """The display name that notices are from."""
    account: str = Field(default="", examples=["default"])
    """The account that sends notices; empty: the one for the domain of from_address."""
    max_per_hour: int = Field(default=20, ge=1)
    """Notices to one address in an hour; the last of them lists all that is still to be told."""
    delay_after: Duration = parse_duration("0s")
    """Age of a mail at which the failure of one more try is told as a delay, once; 0 is never. While the API cannot be reached at all, such
    warnings wait like all other mail."""
