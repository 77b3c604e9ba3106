"""The story of taking one message, readable top to bottom.

In: an envelope and the bytes that followed it. Out: the reply for the end of DATA, after the commit. Never: an exception for
an expected refusal, a permanent code for a fault of ours, the event loop held by a large message.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

import structlog

from qboxrelay.intake.confirm import confirmed
from qboxrelay.intake.decide import Decision
from qboxrelay.intake.sender_domain import SenderDomainGate
from qboxrelay.intake.suppressed import SuppressionGate
from qboxrelay.mime.weight import is_light
from qboxrelay.model.address import Address
from qboxrelay.model.envelope import Envelope
from qboxrelay.model.reply import Refusal, Reply
from qboxrelay.model.submission import Submission
from qboxrelay.spool.confirmations import Confirmations, Verdicts
from qboxrelay.spool.port import SpoolError, SpoolFull
from qboxrelay.telemetry.metrics import IntakeMetrics
from qboxrelay.telemetry.tracing import OFF, Tracing

log = structlog.get_logger()

_INLINE_BYTES = 64 * 1024
"""Smaller messages are mapped on the event loop, unless they look laborious: that takes less than handing them to a thread."""

_MAPPERS = 2
"""Threads for large messages; more would only compete for the interpreter and hold more copies in memory."""


class Keeping(Protocol):
    """What admission needs of the spool, which may be in another process."""

    async def put(self, submissions: Sequence[Submission]) -> None:
        """Durable when it returns. Raises `SpoolError`."""
        ...


class Deciding(Protocol):
    """What admission needs of the rules: `intake.decide.Rules`."""

    def decide(self, envelope: Envelope, content: bytes) -> Decision: ...


class Intake:
    """Takes messages. `close()` ends its threads."""

    def __init__(
        self,
        *,
        spool: Keeping,
        rules: Deciding,
        metrics: IntakeMetrics,
        sender_domains: SenderDomainGate | None = None,
        confirmations: Verdicts | None = None,
        suppressions: SuppressionGate | None = None,
        tracing: Tracing = OFF,
    ) -> None:
        """Without `sender_domains` every domain may send; without `confirmations` no verdict ever comes; without `suppressions` every
        recipient may be written to.
        """
        self._suppressions = suppressions
        self._tracing = tracing
        self.rules = rules
        self._sender_domains = sender_domains
        self._confirmations: Verdicts = confirmations or Confirmations()
        self._spool = spool
        self._metrics = metrics
        # Of its own: the one of the module looks for itself at each line.
        self._log = log.bind()
        self._large = asyncio.Semaphore(_MAPPERS)
        self._mappers = ThreadPoolExecutor(_MAPPERS, thread_name_prefix="mapper")

    def adopt(
        self, rules: Deciding, sender_domains: SenderDomainGate | None, suppressions: SuppressionGate | None
    ) -> None:
        """Decide by these from now on. A mail that is being judged meanwhile may meet both."""
        self.rules, self._sender_domains, self._suppressions = rules, sender_domains, suppressions

    async def admit(self, envelope: Envelope, content: bytes) -> Reply:
        """Map, decide, store; the 250 names the transaction's id. In confirm mode it then waits for the API's verdict."""
        try:
            if len(content) <= _INLINE_BYTES:
                decision = await self._take(envelope, content, self._metrics.now())
            else:
                decision = await self._take_large(envelope, content)
        except Refusal as refusal:
            detail = refusal.reply.text if refusal.rule.startswith("sender_domain_") else None
            return self._refused(envelope, refusal.reply, refusal.rule, detail=detail)
        except SpoolFull as full:
            reply = Reply(452, "4.3.1", "The relay's spool is full, try again later")
            return self._refused(envelope, reply, "spool_full", detail=str(full))
        except SpoolError as error:
            reply = Reply(451, "4.3.0", "The relay cannot store mail now, try again later")
            return self._refused(envelope, reply, "spool_error", detail=str(error))
        confirmed_as = await self._verdict(envelope, decision, envelope.confirm) if envelope.confirm else None
        return confirmed_as or _queued(envelope)

    async def _take_large(self, envelope: Envelope, content: bytes) -> Decision:
        """As `_take`. Large messages are few at a time: beside the content there is its JSON now."""
        since = self._metrics.now()
        async with self._large:
            return await self._take(envelope, content, since)

    async def _take(self, envelope: Envelope, content: bytes, since: float) -> Decision:
        """From the return on the mail is safe."""
        if len(content) <= _INLINE_BYTES and is_light(content):
            decision = self.rules.decide(envelope, content)
        else:
            decision = await self._decide_beside(envelope, content)
        self._metrics.mapped(since)
        with self._tracing.receiving(envelope, decision.traceparent, decision.account) as span:
            if self._sender_domains is not None:
                state = await self._sender_domains.require(decision.from_domain, decision.account)
                decision = decision.with_domain_state(state)
            if envelope.confirm is not None:
                self._confirmations.expect(_ids(decision))
            try:
                await self._spool.put(span.marked(decision.submissions))
            except BaseException:
                self._confirmations.forget(_ids(decision))
                raise
        self._accepted(envelope, content, decision, since, span.trace)
        return decision

    async def _verdict(self, envelope: Envelope, decision: Decision, within: timedelta) -> Reply | None:
        """The API's own answer to a client that waits for it, if it comes in time."""
        try:
            verdicts = await self._confirmations.wait(_ids(decision), within)
        finally:
            self._confirmations.forget(_ids(decision))
        reply = confirmed(envelope.transaction_id, verdicts) if verdicts else None
        self._metrics.confirmed("late" if reply is None else "sent" if reply.accepted else "refused")
        return reply

    @property
    def judges_senders(self) -> bool:
        """Whether a sender can be refused at the MAIL command already."""
        return self._sender_domains is not None and self._sender_domains.judges_mail_from

    async def refused_sender(self, sender: Address | None) -> Reply | None:
        """Why a mail from this envelope sender would not be taken, as far as that is known at the MAIL command; None when it may go on."""
        return None if self._sender_domains is None else await self._sender_domains.mail_from(sender)

    @property
    def judges_recipients(self) -> bool:
        """Whether a recipient can be refused at the RCPT command already."""
        return self._suppressions is not None

    async def refused_recipient(self, address: Address) -> Reply | None:
        """Why nobody may write to the recipient; None when they may."""
        return None if self._suppressions is None else await self._suppressions.refused(address)

    async def _decide_beside(self, envelope: Envelope, content: bytes) -> Decision:
        return await asyncio.get_running_loop().run_in_executor(self._mappers, self.rules.decide, envelope, content)

    def _accepted(
        self, envelope: Envelope, content: bytes, decision: Decision, since: float, trace: str | None
    ) -> None:
        submissions = decision.submissions
        self._metrics.accepted(len(content), len(submissions), since=since, transaction_id=envelope.transaction_id)
        for loss in decision.losses:
            self._metrics.lost(loss.rule)
        if decision.sender_rule is not None:
            self._metrics.matched(decision.sender_rule, rewritten=decision.rewritten)
        client = envelope.client
        if len(submissions) == len(envelope.recipients) == 1:
            # The usual mail has its addresses as text already.
            sender, recipients = submissions[0].envelope_sender, [*submissions[0].recipients]
        else:
            sender = str(envelope.sender or "")
            recipients = [str(recipient.address) for recipient in envelope.recipients]
        self._log.info(
            "mail.accepted",
            transaction=envelope.transaction_id,
            account=decision.account,
            sender=sender or "<>",
            recipients=recipients,
            client=client.address,
            user=client.user,
            listener=client.listener,
            bytes=len(content),
            submissions=len(submissions),
            sender_rule=decision.sender_rule,
            losses=[loss.rule for loss in decision.losses] if decision.losses else None,
            **({"trace": trace} if trace else {}),
        )

    def _refused(self, envelope: Envelope, reply: Reply, rule: str, detail: str | None = None) -> Reply:
        self._metrics.refused(rule)
        log.warning(
            "mail.refused",
            transaction=envelope.transaction_id,
            rule=rule,
            code=reply.code,
            sender=str(envelope.sender or "<>"),
            client=envelope.client.address,
            listener=envelope.client.listener,
            detail=detail,
        )
        return reply

    def close(self) -> None:
        self._mappers.shutdown(wait=False)


def _ids(decision: Decision) -> list[str]:
    return [submission.id for submission in decision.submissions]


def _queued(envelope: Envelope) -> Reply:
    return Reply(250, "2.0.0", f"Ok: queued as {envelope.transaction_id}")
