"""`[sender_domains]`: whose domains may send, and what becomes of mail from the others."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from qboxrelay.model.sender_domain import DomainState
from qboxrelay.settings.typed import BeforeValidator, Field
from qboxrelay.settings.types import Duration, Section, SocketAddress, parse_duration, parse_socket_address

Mode = Literal["accept", "warn", "defer", "reject"]
"""`warn` accepts, and says so in the log once a change; `defer` answers 451 4.7.1, `reject` 550 5.7.1."""

_DNS_PORT = 53


def parse_resolver(value: object) -> SocketAddress:
    """Read `192.0.2.53`, `2001:db8::53`, or either with a port as `parse_socket_address` does."""
    if isinstance(value, SocketAddress):
        return value
    if isinstance(value, str):
        text = value.strip()
        try:
            return SocketAddress(str(ipaddress.ip_address(text)), _DNS_PORT)
        except ValueError:
            pass
        try:
            address = parse_socket_address(text)
            return SocketAddress(str(ipaddress.ip_address(address.host)), address.port)
        except ValueError:
            pass
    raise ValueError('a resolver is an IP address, with a port if it is not 53, such as "192.0.2.53" or "[::1]:5353"')


Resolver = Annotated[SocketAddress, BeforeValidator(parse_resolver)]


class SenderDomainSettings(Section):
    """Whether the domain of From may send, asked before a mail is accepted. Without a Management token and without `domains` nothing is
    checked. A mode is `accept`, `warn` (accept, and say so in the log), `defer` (451 4.7.1) or `reject` (550 5.7.1).
    """

    source: Literal["auto", "management", "static", "none"] = "auto"
    """Where the domains are known from: the Management API, `domains` alone, nowhere; `auto`: the first of the three that is configured."""
    token_file: Path | None = Field(default=None, examples=["management-token"])
    """File that holds a Management API token (X-Api-Token, of a Qboxmail user; a Send API token is another kind). A bare name is also
    looked for in the systemd credentials directory. Environment: QBOXRELAY_MANAGEMENT_TOKEN."""
    base_url: str = "https://api.qboxmail.com"
    """The Management API; `/api/delivery/...` is added to it."""
    proxy: str = ""
    """URL of an HTTP proxy for the Management API; empty: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."""
    ca_file: Path | None = None
    """PEM file of the only authorities that may have signed its certificate; without it this machine's and Mozilla's."""
    domains: tuple[str, ...] = Field(default=(), examples=[("example.com", "example.org")])
    """Domains that may send whatever the Management API says; without a token the only ones."""
    refresh: Duration = parse_duration("10m")
    """How often the Management API is asked, spread by ten percent. `qboxrelay domains refresh` asks at once."""
    api_deadline: Duration = parse_duration("30s")
    """Longest wait for one answer of the Management API. No mail ever waits for one."""
    facts_max_age: Duration = parse_duration("24h")
    """How long the last answer counts while the API cannot be reached; it survives a restart."""
    subdomains: bool = False
    """Whether mail.example.com may send where example.com may. The documentation does not say that the API takes it."""
    check_mail_from: bool = False
    """Judge the domain of MAIL FROM, too, and already there. Leave it off where [[senders]] mends addresses or programs give odd ones:
    the API never sees MAIL FROM."""
    if_enabled: Mode = "accept"
    """Domain enabled: active and usable."""
    if_misconfigured: Mode = "warn"
    """Active, but Qboxmail's live DNS check fails now."""
    if_not_verified: Mode = "reject"
    """Its DNS records are not verified."""
    if_need_approval: Mode = "reject"
    """Not verified, and waiting for Qboxmail's approval."""
    if_disabled: Mode = "reject"
    """Disabled by its owner."""
    if_blocked: Mode = "reject"
    """Blocked by policy or review."""
    if_not_listed: Mode = "reject"
    """The Management token sees no such Delivery domain."""
    if_not_assigned: Mode = "reject"
    """Not assigned to the account that would send: see delivery_account of [[accounts]]."""
    if_no_facts: Literal["accept", "defer"] = "accept"
    """The Management API never answered, its answer is older than facts_max_age, or it describes the domain in unknown words. Also where DNS
    did not answer and is to be enforced."""
    dns: Literal["off", "warn", "enforce"] = "off"
    """Look at the domain's DNS records as well: only say in the log what is wrong, or refuse the mail (550 5.7.1). A time-out is never
    wrong. `qboxrelay domains check` looks in any case."""
    resolvers: tuple[Resolver, ...] = Field(default=(), examples=[("192.0.2.53", "[2001:db8::53]:5353")])
    """DNS resolvers to ask, in this order; empty: those of this machine."""
    dns_deadline: Duration = parse_duration("2s")
    """Longest time that a mail waits for DNS. The lookup goes on, so that the next mail has its answer."""
    dns_timeout: Duration = parse_duration("10s")
    """When the lookup itself gives up."""
    dns_min_ttl: Duration = parse_duration("1m")
    """Answers are kept at least so long, whatever their TTL."""
    dns_max_ttl: Duration = parse_duration("1h")
    """Answers are kept at most so long."""
    spf_include: str = Field(default="", examples=["spf.example.net"])
    """What SPF records have to include, where the Management API does not say it."""
    dkim_selectors: tuple[str, ...] = Field(default=(), examples=[("selector1", "selector2")])
    """DKIM selectors that have to be published, where the Management API does not say it."""
    verify_path: str = Field(default="", examples=["/path/with/{code}"])
    """Path of the request that has Qboxmail verify a domain's DNS, for `qboxrelay domains verify`; `{code}` and `{name}` stand for the
    domain's. The public documentation says that there is one, but not which."""
    verify_method: Literal["POST", "PUT", "GET"] = "POST"
    """Its method."""

    def mode(self, state: DomainState) -> Mode:
        """What becomes of mail from a domain that stands so, DNS aside."""
        unknown = {DomainState.UNCLEAR, DomainState.NO_FACTS}
        chosen: Mode = self.if_no_facts if state in unknown else getattr(self, f"if_{state}")
        return chosen

    def lets_in(self, state: DomainState) -> bool:
        return self.mode(state) in {"accept", "warn"}
