"""The commands by their names.

In: arguments. Out: the command that runs. Never: a command's work.
"""

import typer

from qboxrelay.cli import (
    check,
    demo,
    doctor,
    domains,
    explain,
    hash_password,
    nodes,
    queue,
    queue_look,
    reload,
    run,
    sandbox,
    send_test,
    spool,
    trace,
    wirelog,
)

app = typer.Typer(
    name="qboxrelay",
    help="Takes mail over SMTP, keeps it in a durable spool and sends it through the Qboxmail Send API.\n\n"
    "New here? Run [bold]qboxrelay demo[/bold]: it starts the relay and an emulated Qboxmail, and tells how to send a first mail.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("reload")(reload.reload)
app.command("demo")(demo.demo)
app.command("sandbox")(sandbox.sandbox)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.command("explain")(explain.explain)
app.add_typer(domains.app, name="domains")
queue_look.add_to(queue.app)
app.add_typer(queue.app, name="queue")
app.command("trace")(trace.trace)
app.command("nodes")(nodes.nodes)
app.add_typer(spool.app, name="spool")
app.command("send-test")(send_test.send_test)
app.command("hash-password")(hash_password.hash_password)
app.command("wirelog")(wirelog.wirelog)


@app.command("sendmail")
def _sendmail() -> None:
    """A drop-in for /usr/sbin/sendmail that hands mail to the relay. `qboxrelay sendmail --help` shows its options."""
    # Never reached: `main` knows the command before this module is imported.


@app.callback(invoke_without_command=True)
def _version(
    show: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True),
) -> None:
    if show:
        from importlib.metadata import version

        print(f"qboxrelay {version('qboxrelay')}")
        raise typer.Exit
