"""`qboxrelay sandbox`: the emulated Qboxmail alone."""

import typer

from qboxrelay.cli.daemon import OnSignal, fail, in_words, run_until_signal


def sandbox(
    host: str = typer.Option("127.0.0.1", help="Where to listen; it has no real secrets, but keep it on loopback."),
    port: int = typer.Option(
        8026, "--sandbox-port", "--port", min=0, max=65535, help="Send API, Management API and inbox page."
    ),
) -> None:
    """Run the emulated Qboxmail: Send API, Management API and an inbox page that shows what arrived.

    Behaviour that the public documentation does not describe is a switch, labelled as assumed; see /sandbox/switches.
    """
    raise typer.Exit(_sandbox(host, port))


def _sandbox(host: str, port: int) -> int:
    import asyncio

    from qboxrelay.sandbox.app import SandboxConfig
    from qboxrelay.sandbox.server import SandboxServer

    async def main(on_signal: OnSignal) -> int:
        stopping = asyncio.Event()
        on_signal(stopping.set)
        server = SandboxServer(SandboxConfig(host=host, port=port))
        try:
            await server.start()
        except OSError as error:
            return fail(f"cannot listen on {host}:{port}: {in_words(error)}; choose another with --sandbox-port")
        print(
            f"Sandbox Qboxmail on {server.base_url} (inbox page, /v1/send, /api/delivery/…). Ctrl-C stops it.",
            flush=True,
        )
        await stopping.wait()
        await server.stop()
        return 0

    return run_until_signal(main)
