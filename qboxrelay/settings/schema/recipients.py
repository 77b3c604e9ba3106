"""`[recipients]`: who may be written to."""

from qboxrelay.settings.types import Duration, Section, parse_duration


class RecipientSettings(Section):
    """What is asked about recipients before their mail is taken."""

    refuse_suppressed: bool = False
    """Refuse recipients on Qboxmail's suppression list with 550 5.7.1 at RCPT. Each address is looked up with the Management token of
    [sender_domains]; entries for single accounts are left to the API's own pre-check. When the list cannot be read, everybody is let in."""
    suppressed_keep: Duration = parse_duration("10m")
    """How long the answer about an address counts."""
    suppressed_wait: Duration = parse_duration("2s")
    """Longest time that RCPT waits for it; then the recipient is let in, and nothing is asked for half a minute."""
