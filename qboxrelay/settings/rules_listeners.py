"""What the keys of `[[listeners]]` must be to each other: never an open relay, never TLS that cannot begin.

In: `Settings`. Out: findings. Never: a look at the machine.
"""

from collections.abc import Iterator

from qboxrelay.settings.finding import Finding
from qboxrelay.settings.hosts import is_loopback, is_private
from qboxrelay.settings.schema import ListenerSettings, Settings

_ABOVE_ZERO = ("idle_timeout", "command_timeout", "data_timeout", "session_timeout", "confirm_timeout")


def listener_findings(settings: Settings) -> Iterator[Finding]:
    """Every broken rule."""
    for index, listener in enumerate(settings.listeners):
        for rule in (_open_door, _tls, _legacy, _proxies, _times):
            for key, wrong, instead in rule(listener, settings):
                yield Finding(("listeners", index, key), wrong, instead)


_Found = Iterator[tuple[str, str, str]]


def _open_door(listener: ListenerSettings, _settings: Settings) -> _Found:
    if listener.auth == "required":
        return
    for network in listener.allow_networks:
        if network.prefixlen == 0:
            yield (
                "allow_networks",
                f"{network} is everybody, and anybody could send mail",
                'name the networks of your applications, or write auth = "required"',
            )
    if not listener.allow_networks and not is_loopback(listener.address.host):
        yield (
            "address",
            f"{listener.address.host} can be reached from other machines, and anybody there could send mail",
            'name the senders in allow_networks, write auth = "required", or listen on loopback, such as "127.0.0.1:2525"',
        )


def _tls(listener: ListenerSettings, settings: Settings) -> _Found:
    if listener.tls != "none" and settings.tls.certificate_file is None:
        yield "tls", f'"{listener.tls}" needs a certificate', "write certificate_file in [tls]"
    if listener.tls == "none" and listener.tls_required:
        yield "tls_required", "nobody could send without tls", 'write tls = "starttls" or tls = "implicit"'


def _legacy(listener: ListenerSettings, _settings: Settings) -> _Found:
    if listener.compatibility != "legacy":
        return
    if listener.tls == "none":
        yield "compatibility", '"legacy" is about TLS, which this listener does not have', 'write tls = "starttls"'
    elif not is_private(listener.address.host) and not listener.legacy_on_public_address:
        yield (
            "compatibility",
            f'"legacy" lets everybody on the way to {listener.address.host} read along',
            "listen on a private address, or write legacy_on_public_address = true if that is meant",
        )


def _proxies(listener: ListenerSettings, _settings: Settings) -> _Found:
    if listener.proxy_protocol and not listener.trusted_proxies:
        yield "proxy_protocol", "nobody may send PROXY headers", 'name the proxies: trusted_proxies = ["192.0.2.1"]'
    if listener.trusted_proxies and not listener.proxy_protocol:
        yield "trusted_proxies", "is not used", "write proxy_protocol = true, or leave it out"


def _times(listener: ListenerSettings, _settings: Settings) -> _Found:
    for key in _ABOVE_ZERO:
        if not getattr(listener, key):
            yield key, "must be longer than nothing", ""
