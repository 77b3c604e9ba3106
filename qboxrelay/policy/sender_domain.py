"""What becomes of a mail by where its sender domain stands.

In: `SenderFacts`, the `[sender_domains]` settings. Out: `DomainVerdict`. Never: I/O; a permanent code where nothing is known for sure.
"""

from dataclasses import dataclass
from typing import Literal

from qboxrelay.model.reply import Reply
from qboxrelay.model.sender_domain import DomainState, RecordVerdict, SenderFacts
from qboxrelay.settings.schema import SenderDomainSettings

Mode = Literal["accept", "warn", "defer", "reject"]

_WHY = {
    DomainState.ENABLED: "{0} is a Delivery domain that this relay is set not to use (enabled): use another From address",
    DomainState.NOT_VERIFIED: "{0} is not a verified Delivery domain (not_verified): publish its DNS records, then verify it; "
    "see: qboxrelay domains check {0}",
    DomainState.MISCONFIGURED: "{0} is a Delivery domain whose DNS is wrong now (misconfigured): mend its DNS records; "
    "see: qboxrelay domains check {0}",
    DomainState.DISABLED: "{0} is a disabled Delivery domain (disabled): enable it in the Qboxmail panel",
    DomainState.BLOCKED: "{0} is a Delivery domain blocked by Qboxmail (blocked): ask Qboxmail's support",
    DomainState.NEED_APPROVAL: "{0} is a Delivery domain that waits for approval (need_approval): verify it and wait for Qboxmail, "
    "or ask its support",
    DomainState.NOT_LISTED: "{0} is not a Delivery domain of this relay's Qboxmail user (not_listed): use another From address, or add "
    "the domain in the Qboxmail panel",
    DomainState.NOT_ASSIGNED: "{0} is not assigned to the Delivery account that would send (not_assigned): assign it in the Qboxmail "
    "panel, or use another From address",
    DomainState.UNCLEAR: "It is not clear whether {0} may send (unclear): try again later, or see: qboxrelay domains list",
    DomainState.NO_FACTS: "It is not known now whether {0} may send (no_facts): try again later",
}
_DNS_WHY = "{0} has DNS records that are wrong or missing ({1}): see: qboxrelay domains check {2}"
_DNS_UNKNOWN = "The DNS of {0} cannot be looked at now (dns_unknown): try again later"


@dataclass(frozen=True, slots=True)
class DomainVerdict:
    """What becomes of the mail. `state` is a `DomainState`, or what DNS adds to them: `dns_wrong`, `dns_missing`, `dns_unknown`."""

    mode: Mode
    state: str
    text: str
    """Why, and what to do."""

    @property
    def reply(self) -> Reply | None:
        """None when the mail may enter."""
        match self.mode:
            case "reject":
                return Reply(550, "5.7.1", self.text)
            case "defer":
                return Reply(451, "4.7.1", self.text)
        return None


class SenderDomainRules:
    """The settings as a table."""

    def __init__(self, settings: SenderDomainSettings) -> None:
        self._settings = settings

    def mode(self, state: DomainState) -> Mode:
        """What becomes of mail from a domain that stands so, DNS aside."""
        return self._settings.mode(state)

    def judge(self, facts: SenderFacts) -> DomainVerdict:
        """By state, then, where that lets it in, by DNS."""
        mode = self.mode(facts.state)
        verdict = DomainVerdict(mode, facts.state, _WHY[facts.state].format(_shown(facts.domain)))
        if not self._settings.lets_in(facts.state) or self._settings.dns == "off" or not facts.delivery_domain:
            return verdict
        by_dns = self._by_dns(facts)
        return verdict if by_dns is None or (by_dns.mode == "accept" and mode == "warn") else by_dns

    def _by_dns(self, facts: SenderFacts) -> DomainVerdict | None:
        """None when nothing is wrong with its records."""
        found = RecordVerdict.UNKNOWN if facts.report is None else facts.report.verdict
        if found is RecordVerdict.OK:
            return None
        domain = _shown(facts.domain)
        if found is RecordVerdict.UNKNOWN or facts.report is None:
            mode: Mode = self._settings.if_no_facts if self._settings.dns == "enforce" else "accept"
            return DomainVerdict(mode, "dns_unknown", _DNS_UNKNOWN.format(domain))
        bad = {RecordVerdict.WRONG, RecordVerdict.MISSING}
        kinds = dict.fromkeys(check.kind for check in facts.report.checks if check.required and check.verdict in bad)
        text = _DNS_WHY.format(domain, ", ".join(kinds), _shown(facts.delivery_domain))
        return DomainVerdict("reject" if self._settings.dns == "enforce" else "warn", f"dns_{found}", text)


def _shown(domain: str) -> str:
    """ASCII for a reply (RFC 5321 §4.2); a domain that has no such form is none anyway."""
    return domain.encode("ascii", "backslashreplace").decode()[:255]
