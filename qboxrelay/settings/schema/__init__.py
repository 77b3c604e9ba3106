"""Every key of the configuration with its type, default and reason.

In: values that `load` read. Out: the frozen `Settings`. Never: I/O.
"""

from qboxrelay.settings.schema.delivery import AccountSettings, DeliverySettings
from qboxrelay.settings.schema.domains import SenderDomainSettings
from qboxrelay.settings.schema.mapping import MappingSettings
from qboxrelay.settings.schema.notices import NoticeSettings
from qboxrelay.settings.schema.recipients import RecipientSettings
from qboxrelay.settings.schema.relay import LogSettings, RelaySettings, SpoolSettings, StatusSettings
from qboxrelay.settings.schema.senders import SenderSettings
from qboxrelay.settings.schema.smtp import ListenerSettings, TlsSettings
from qboxrelay.settings.schema.tracing import TracingSettings
from qboxrelay.settings.schema.users import LoginSettings, UserSettings
from qboxrelay.settings.types import Section

__all__ = [
    "AccountSettings",
    "DeliverySettings",
    "ListenerSettings",
    "LogSettings",
    "LoginSettings",
    "MappingSettings",
    "NoticeSettings",
    "RecipientSettings",
    "RelaySettings",
    "SenderDomainSettings",
    "SenderSettings",
    "Settings",
    "SpoolSettings",
    "StatusSettings",
    "TlsSettings",
    "TracingSettings",
    "UserSettings",
]


class Settings(Section):
    """The whole configuration."""

    relay: RelaySettings = RelaySettings()
    listeners: tuple[ListenerSettings, ...] = (ListenerSettings(),)
    tls: TlsSettings = TlsSettings()
    users: tuple[UserSettings, ...] = ()
    logins: LoginSettings = LoginSettings()
    accounts: tuple[AccountSettings, ...] = (AccountSettings(),)
    senders: tuple[SenderSettings, ...] = ()
    sender_domains: SenderDomainSettings = SenderDomainSettings()
    recipients: RecipientSettings = RecipientSettings()
    mapping: MappingSettings = MappingSettings()
    spool: SpoolSettings = SpoolSettings()
    delivery: DeliverySettings = DeliverySettings()
    notices: NoticeSettings = NoticeSettings()
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
