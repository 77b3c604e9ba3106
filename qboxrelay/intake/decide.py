"""What would happen to a message: the whole decision, without I/O, so that `explain` and the door cannot differ.

In: an envelope, the bytes, the rules. Out: `Decision` with the submissions to store, or `Refusal`. Never: storing or sending.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from qboxrelay.intake.compose import Draft, author_of, compose, named_author
from qboxrelay.mime.parse import parse
from qboxrelay.model.dsn import write_asked
from qboxrelay.model.envelope import Envelope, Notify, Recipient
from qboxrelay.model.message import Loss, Message
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.model.submission import Submission
from qboxrelay.model.value import value
from qboxrelay.policy.accounts import AccountRules
from qboxrelay.policy.loops import require_straight
from qboxrelay.policy.priority import PRIORITIES, priority_of
from qboxrelay.policy.rewrite import rewritten
from qboxrelay.policy.senders import SenderRules
from qboxrelay.policy.user_senders import UserSenders
from qboxrelay.settings.schema import MappingSettings, SenderSettings, Settings
from qboxrelay.telemetry.tracing import named_trace

_BODY_FRAME_BYTES = len('{"messages":[]}')

_MAX_TRANSACTION_BYTES = 256_000_000
"""A large mail to many blind recipients becomes as many copies; they are in memory at once when they are stored."""

_TOO_MUCH = Reply(552, "5.3.4", "Message too large for so many blind recipients: send it to fewer of them at a time")


@value(frozen=True, slots=True)
class Decision:
    """A message that may enter: through which account, as which submissions, and what of it JSON cannot say."""

    account: str
    submissions: tuple[Submission, ...]
    losses: tuple[Loss, ...]
    sender_rule: str | None = None
    """The name of the sender rule that it matched."""
    rewritten: bool = False
    """Whether that rule changed From."""
    from_domain: str = ""
    """The domain that the API will see in From, which `SenderDomainGate` judges next: it needs facts from outside."""
    traceparent: str = ""
    """What the mail says of its own trace, as it stands; empty where nobody wants to know."""

    def with_domain_state(self, state: str) -> "Decision":
        """What the gate said, noted with every submission."""
        return replace(self, submissions=tuple(replace(one, domain_state=state) for one in self.submissions))


class Rules:
    """Everything of the settings that decides about a message."""

    def __init__(self, settings: Settings, *, removed_users: Collection[str] = ()) -> None:
        """`removed_users`: those that were users when connections began which may still be open."""
        self._mapping: MappingSettings = settings.mapping
        self._relay = settings.relay
        self._senders = SenderRules(settings.senders)
        self._user_senders = UserSenders(settings.users, removed_users)
        self._accounts = AccountRules(settings.accounts)
        self._account_of = {listener.name: listener.account for listener in settings.listeners if listener.account}
        self._header_priority = settings.delivery.header_priority
        self._keep_raw = settings.spool.keep_raw != "never"
        self._traced = bool(settings.tracing.endpoint)

    def decide(self, envelope: Envelope, content: bytes) -> Decision:
        """Raises `Refusal` when the message may not enter."""
        received = parse(content)
        require_straight(received, self._relay)
        author = named_author(received, envelope.sender)
        rule = self._senders.first_match(envelope.client, envelope.sender, author)
        message = rewritten(received, author, rule) if rule else received
        named = (rule.account if rule else "") or envelope.account or self._account_of.get(envelope.client.listener)
        leaves_as = author_of(message, envelope.sender).address
        self._user_senders.check_author(envelope.client.user, leaves_as)
        account = self._accounts.choose(named, leaves_as)
        composed = compose(
            message,
            transaction_id=envelope.transaction_id,
            sender=envelope.sender,
            recipients=[recipient.address for recipient in envelope.recipients],
            settings=self._mapping,
            max_submission_bytes=int(account.max_request_bytes) - _BODY_FRAME_BYTES,
        )
        if composed.payload_bytes > _MAX_TRANSACTION_BYTES:
            raise Refusal(_TOO_MUCH, rule="transaction_bytes")
        raw = content if self._keep_raw else None
        asking = [recipient for recipient in envelope.recipients if recipient.notify or recipient.orcpt]
        submissions = [
            _submission(
                envelope,
                message,
                draft,
                asking,
                account=account.name,
                priority=self._priority(rule, message),
                from_address=str(composed.from_address),
                raw=raw,
                sender_rule=rule.name if rule else "",
            )
            for draft in composed.drafts
        ]
        return Decision(
            account.name,
            tuple(submissions),
            composed.losses,
            rule.name if rule else None,
            message is not received,
            composed.from_address.domain,
            named_trace(received.headers) if self._traced else "",
        )

    def _priority(self, rule: SenderSettings | None, message: Message) -> int:
        if rule is not None and rule.priority is not None:
            return PRIORITIES[rule.priority]
        return priority_of(message.headers) if self._header_priority else 0


def _submission(
    envelope: Envelope,
    message: Message,
    draft: Draft,
    asking: Sequence[Recipient],
    *,
    account: str,
    priority: int,
    from_address: str,
    raw: bytes | None,
    sender_rule: str,
) -> Submission:
    client = envelope.client
    never = {recipient.address for recipient in asking if Notify.NEVER in recipient.notify}
    return Submission(
        id=draft.id,
        transaction_id=envelope.transaction_id,
        account=account,
        client_key=client.key,
        priority=priority,
        payload=draft.payload,
        received_at=envelope.received_at,
        envelope_sender=str(envelope.sender) if envelope.sender is not None else "",
        recipients=tuple(map(str, draft.recipients)),
        notify_never=never.issuperset(draft.recipients),
        dsn=_asked(envelope, draft, asking),
        from_address=from_address,
        subject=message.subject or "",
        message_id_header=message.message_id or "",
        client_address=client.address,
        client_helo=client.helo,
        client_user=client.user or "",
        listener=client.listener,
        sender_rule=sender_rule,
        raw=raw,
    )


def _asked(envelope: Envelope, draft: Draft, asking: Sequence[Recipient]) -> str:
    if not asking and envelope.envid is None:
        return ""
    return write_asked(envelope.envid, [one for one in asking if one.address in draft.recipients])
