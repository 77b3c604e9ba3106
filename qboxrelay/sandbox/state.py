"""Everything that changes while a sandbox runs.

In: a configuration. Out: `State`, held by the application. Never: state shared between two sandboxes.
"""

import asyncio
import hmac
import time
import uuid
from collections import defaultdict

from starlette.requests import Request

from qboxrelay.sandbox.accounts import Account, default_accounts
from qboxrelay.sandbox.config import SandboxConfig
from qboxrelay.sandbox.faults import Faults
from qboxrelay.sandbox.ledger import Ledger, Seen
from qboxrelay.sandbox.rate import TokenBucket
from qboxrelay.sandbox.suppressions import SuppressionList


class State:
    """One emulated Qboxmail."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.switches = config.switches
        accounts = config.accounts or default_accounts(config.send_token, config.quota)
        self.accounts = {account.id: account for account in accounts}
        self.domains = {domain.name: domain for domain in config.domains}
        self.suppressions = SuppressionList()
        self.ledger = Ledger(inbox_size=config.inbox_size, inbox_bytes=config.inbox_bytes)
        self.faults = Faults()
        self.closing = asyncio.Event()
        """Set when the server stops: whoever waits on purpose goes on."""
        self._rates: dict[int, TokenBucket] = defaultdict(TokenBucket)

    def see(self, request: Request) -> Seen:
        """Note that a request arrived."""
        seen = Seen(
            request_id=str(uuid.uuid4()),
            received_at=time.time(),
            method=request.method,
            path=request.url.path,
            connection=f"{request.client.host}:{request.client.port}" if request.client else "",
        )
        self.ledger.requests.append(seen)
        return seen

    def account_of(self, authorization: str) -> Account | None:
        """The account that a bearer token opens."""
        given = authorization.encode()
        known = (account for account in self.accounts.values() if account.send_token)
        return next((a for a in known if hmac.compare_digest(given, f"Bearer {a.send_token}".encode())), None)

    def sender_domains(self, account_id: int) -> frozenset[str]:
        """Names of the domains that the account may send from."""
        return frozenset(domain.name for domain in self.domains.values() if domain.may_send(account_id))

    def spend(self, account_id: int, count: int) -> None:
        """Take accepted messages off the account's quota."""
        account = self.accounts[account_id]
        left = None if account.remaining_messages is None else account.remaining_messages - count
        sent = account.messages_sent + count
        self.accounts[account_id] = account.model_copy(update={"remaining_messages": left, "messages_sent": sent})

    def over_rate(self, account_id: int) -> float:
        """Seconds to wait when a request is one too many, else 0."""
        if not self.switches.rate_limit:
            return 0.0
        bucket, burst = self._rates[account_id], self.switches.rate_burst
        return bucket.take(time.monotonic(), per_second=self.config.requests_per_second, burst=burst)

    async def pause(self, seconds: float) -> None:
        """Sleep, unless the server stops."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self.closing.wait()
            except TimeoutError:
                return


def state_of(request: Request) -> State:
    state: State = request.app.state.sandbox
    return state
