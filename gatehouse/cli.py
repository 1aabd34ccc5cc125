"""The command `gatehouse`: mounts one module a sub-command; each imports what it needs when it runs."""

from importlib.metadata import version as distribution_version
from typing import Annotated

import typer

from gatehouse import demo_command, edge_command, hub_command, models_command

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(demo_command.app, name="demo", help="Run the whole system on this machine, on real streams and bytes.")
app.add_typer(hub_command.app, name="hub", help="Run the hub, and manage its gateways, register and accounts.")
app.add_typer(edge_command.app, name="edge", help="Run a community's gateway, check its configuration, enrol it.")
app.add_typer(models_command.app, name="models", help="List, evaluate and build the detectors.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gatehouse {distribution_version('gatehouse')}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Doors, cameras and the residential register of a community, linked.

    Try it:  gatehouse demo

    Tab completion:  gatehouse --install-completion
    """
    del version


def main() -> None:
    """The console script."""
    app(prog_name="gatehouse")


if __name__ == "__main__":
    main()
