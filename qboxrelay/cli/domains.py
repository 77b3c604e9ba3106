"""`qboxrelay domains`: who may send, and why not.

In: arguments, the configuration. Out: tables or JSON, an exit status. Never: a change at Qboxmail, but for `verify`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qboxrelay.cli.daemon import fail
from qboxrelay.cli.plain import to_json
from qboxrelay.cli.run import CONFIG

if TYPE_CHECKING:
    from qboxrelay.cli.configuration import Loaded
    from qboxrelay.cli.domain_facts import KnownDomains
    from qboxrelay.model.sender_domain import Listing
    from qboxrelay.qboxmail.management import ManagementClient

app = typer.Typer(help="Sender domains: who may send, and what is wrong with the DNS of those who may not.")

AS_JSON = typer.Option(False, "--json", help="JSON instead of a table.")

_NO_SOURCE = "no sender domains are checked: set token_file or domains in [sender_domains]"
_NO_TOKEN = "this needs a Management API token: set token_file in [sender_domains]"  # noqa: S105 - a sentence
_SILENT = """\
The public documentation says that a Delivery domain can be verified through the API, but not by which request, and none is configured.
Verify {name} in the Qboxmail panel instead: Delivery, Domains, the verify button. Then: qboxrelay domains refresh.
If you know the request: set verify_path in [sender_domains]. What DNS says now: qboxrelay domains check {name}"""


@app.command("list")
def list_(config: Path = CONFIG, as_json: bool = AS_JSON) -> None:
    """Every known sender domain: its state, what becomes of its mail, its accounts, Qboxmail's own last DNS checks.

    Shown is what the relay keeps; where it keeps nothing yet, the Management API is asked. Exit status 1 when neither tells.
    """

    async def work(loaded: "Loaded") -> int:
        from qboxrelay.cli.domain_tables import listing_json, print_listing

        known = await _known(loaded)
        if isinstance(known, str):
            return fail(known)
        if as_json:
            print(to_json(listing_json(known)))
        else:
            print_listing(known)
        return 0

    _run(config, work)


@app.command()
def check(
    domains: list[str] = typer.Argument(None, metavar="DOMAIN", help="Default: every known sender domain."),
    config: Path = CONFIG,
    as_json: bool = AS_JSON,
) -> None:
    """Look at the DNS records of sender domains now: expected, found, what to publish.

    Exit status 0: all that is required is right. 1: could not look. 2: something required is wrong or missing. 3: nothing is wrong, but
    DNS did not answer for something required.
    """

    async def work(loaded: "Loaded") -> int:
        from qboxrelay.cli.domain_checks import EXIT, check_all
        from qboxrelay.cli.domain_tables import print_reports, reports_json
        from qboxrelay.model.address import domain_key, is_dns_name

        asked = {domain_key(domain): domain for domain in domains or ()}
        strange = [domain for name, domain in asked.items() if not is_dns_name(name)]
        if strange:
            return fail(
                f"{', '.join(map(ascii, strange))[:300]}: no name of DNS; write the domain alone, such as example.com"
            )
        known = await _known(loaded, required=not domains)
        if isinstance(known, str):
            return fail(known)
        names = list(asked) or [name for name in known.names() if is_dns_name(name)]
        reports = await check_all(known, names)
        if as_json:
            print(to_json(reports_json(known, reports)))
        else:
            print_reports(known, reports)
        return max((EXIT[report.verdict] for report in reports), key=[0, 3, 2].index, default=0)

    _run(config, work)


@app.command()
def verify(
    domain: str = typer.Argument(..., metavar="DOMAIN", help="A Delivery domain."), config: Path = CONFIG
) -> None:
    """Ask Qboxmail to verify a domain's DNS, by the request that verify_path configures.

    Exit status 0 when Qboxmail took the request; 1 when it did not, or no request is known: the documentation names none.
    """

    async def work(loaded: "Loaded") -> int:
        from qboxrelay.model.address import domain_key
        from qboxrelay.model.sender_domain import ManagementFailure

        name = domain_key(domain)
        if not loaded.settings.sender_domains.verify_path:
            return fail(_SILENT.format(name=name))
        async with _Management(loaded) as management:
            if management is None:
                return fail(_NO_TOKEN)
            try:
                listing = await management.listing()
                if name not in listing.domains:
                    return fail(f"{name} is not a Delivery domain that this token sees")
                print(f"Asked Qboxmail to verify {name}: {await management.verify(listing.domains[name])}")
            except ManagementFailure as failure:
                return fail(str(failure))
        print("Whether it is done at once is not documented. See: qboxrelay domains refresh")
        return 0

    _run(config, work)


@app.command()
def refresh(config: Path = CONFIG, as_json: bool = AS_JSON) -> None:
    """Ask the Management API now, keep its answer in the spool, and show it. A running relay takes it over within two seconds.

    Exit status 1 when the API gives no answer, or the spool cannot keep it.
    """

    async def work(loaded: "Loaded") -> int:
        from qboxrelay.cli.domain_facts import KnownDomains, store
        from qboxrelay.cli.domain_tables import listing_json, print_listing
        from qboxrelay.domains.keeping import NAME, to_bytes
        from qboxrelay.spool.port import SpoolError

        listing = await _ask(loaded)
        if isinstance(listing, str):
            return fail(listing)
        known = KnownDomains(settings=loaded.settings, asks_api=True, listing=listing)
        if as_json:
            print(to_json(listing_json(known)))
        else:
            print_listing(known)
        try:
            await store(loaded.settings).remember(NAME, to_bytes(listing))
        except SpoolError as error:
            return fail(f"the answer is not kept: {error}")
        return 0

    _run(config, work)


async def _known(loaded: "Loaded", *, required: bool = True) -> "KnownDomains | str":
    """What the relay keeps, else what the Management API says; or a sentence that says why there is neither."""
    from qboxrelay.cli.domain_facts import KnownDomains

    known = await KnownDomains.read(loaded.settings, asks_api=loaded.management_token is not None)
    if not known.checks:
        return _NO_SOURCE if required else known
    if known.asks_api and known.listing is None:
        listing = await _ask(loaded)
        if isinstance(listing, str):
            return f"{known.why_not}; {listing}"
        return known.with_listing(listing)
    return known


async def _ask(loaded: "Loaded") -> "Listing | str":
    """The Management API's answer, or a sentence that says why there is none."""
    from qboxrelay.model.sender_domain import ManagementFailure

    async with _Management(loaded) as management:
        if management is None:
            return _NO_TOKEN
        try:
            return await management.listing()
        except ManagementFailure as failure:
            return str(failure)


class _Management:
    """The Management API for one command; None without a token."""

    def __init__(self, loaded: "Loaded") -> None:
        self._loaded = loaded
        self._client: ManagementClient | None = None

    async def __aenter__(self) -> "ManagementClient | None":
        from qboxrelay.model.clock import SystemClock
        from qboxrelay.qboxmail.management import ManagementClient

        if self._loaded.management_token is not None:
            self._client = ManagementClient(
                settings=self._loaded.settings.sender_domains, token=self._loaded.management_token, clock=SystemClock()
            )
        return self._client

    async def __aexit__(self, *_error: object) -> None:
        if self._client is not None:
            await self._client.close()


def _run(config: Path, work: "Callable[[Loaded], Awaitable[int]]") -> None:
    """Load the configuration, do the work, end with its status."""
    from qboxrelay.cli.configuration import load_for_look

    loaded = load_for_look(config)

    async def main() -> int:
        try:
            return await work(loaded)
        except OSError as error:
            return fail(str(error))

    raise typer.Exit(asyncio.run(main()))
