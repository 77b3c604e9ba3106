"""Which Delivery account sends a message.

In: the account that a sender rule, the login or the listener names (in that order), the sender's address. Out: one account. Never: an
account that the sender's domain was given to another one for, unless it was named.
"""

from collections.abc import Sequence

from qboxrelay.model.address import Address, domain_key
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.settings.schema import AccountSettings


class AccountRules:
    """The accounts by name and by sender domain; the first one without domains serves all others."""

    def __init__(self, accounts: Sequence[AccountSettings]) -> None:
        self._by_name = {account.name: account for account in accounts}
        self._by_domain = {domain_key(domain): account for account in accounts for domain in account.domains}
        self._fallback = next((account for account in accounts if not account.domains), None)

    def choose(self, named: str | None, from_address: Address) -> AccountSettings:
        """The account by its name if the door names one, else by the domain of From. Raises `Refusal`."""
        if named is not None and named in self._by_name:
            return self._by_name[named]
        account = self._by_domain.get(domain_key(from_address.domain), self._fallback)
        if account is None:
            raise Refusal(
                Reply(
                    550,
                    "5.7.1",
                    f"No account sends for the domain {from_address.domain}: use another From address, "
                    "or add the domain to an [[accounts]] entry of the relay",
                ),
                rule="no_account",
            )
        return account
