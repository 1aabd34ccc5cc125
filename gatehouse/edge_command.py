"""`gatehouse edge`: run a gateway, check its site file, enroll it at a hub."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gatehouse import edge_replay_command, edge_tune_command
from gatehouse.edge_cameras_command import app as cameras_app
from gatehouse.edge_holds_command import app as holds_app
from gatehouse.edge_osdp_command import app as osdp_app

app = typer.Typer(
    name="edge",
    help="The gateway of one community: doors, cameras, outbox and uplink.",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(cameras_app)
app.add_typer(osdp_app)
app.add_typer(holds_app)

_EXAMPLES = """Examples:

  gatehouse edge enroll --hub http://hub.example:8080 --state-dir /var/lib/gatehouse

  gatehouse edge check --config site.toml

  gatehouse edge --config site.toml
"""

_CONFIG_HELP = "The site file (TOML): doors, readers, cameras and the gateway itself."
_Config = Annotated[Path, typer.Option("--config", "-c", help=_CONFIG_HELP)]


@app.callback(epilog=_EXAMPLES)
def edge(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help=_CONFIG_HELP)] = None,
) -> None:
    """Run the gateway of one community until SIGTERM (as `run`), or one of the commands below."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        _fail("which site? give its file: gatehouse edge --config site.toml (see: gatehouse edge --help)")
    run(config)


@app.command()
def run(config: _Config) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; logs go to stderr.

    The gateway needs an identity in its state folder, which `gatehouse edge enroll` makes. Exit status: 0 after a clean
    stop, 2 for a fault in the site file or a missing identity, 1 if the state folder cannot be used.
    """
    from edge.config import load_config
    from edge.daemon import Daemon
    from edge.errors import ConfigurationError, EdgeError, IdentityError
    from edge.identity import load_identity
    from edge.logs import log_to_stderr

    try:
        site = load_config(config)
        identity = load_identity(site.gateway.state_dir)
    except (ConfigurationError, IdentityError) as error:
        _fail(str(error))
    log_to_stderr()
    try:
        Daemon(site, identity).run()
    except EdgeError as error:
        _fail(str(error), 1)


@app.command()
def check(config: _Config) -> None:
    """Check a site file, opening no device: every fault with its key and line, and then exit status 2."""
    from edge.config import load_config
    from edge.errors import ConfigurationError
    from edge.keeping.assembly import mask_notes
    from edge.live.masking import live_mask_notes
    from edge.video.config import password_notes

    try:
        site = load_config(config)
    except ConfigurationError as error:
        count = len(error.faults)
        _fail(f"{error}\n{config}: {count} fault{'s' if count > 1 else ''}")
    doors, readers, cameras = len(site.access.door), len(site.access.reader), site.video.cameras
    for note in (*password_notes(cameras), *mask_notes(site), *live_mask_notes(cameras)):
        print(f"{config}: note: {note}")
    print(f"{config}: no fault: {doors} doors, {readers} readers, {len(cameras)} cameras")


@app.command()
def enroll(
    hub: Annotated[str, typer.Option("--hub", help="The hub's address, for example http://hub.example:8080.")],
    state_dir: Annotated[
        Path,
        typer.Option("--state-dir", help="Where the gateway keeps its state; the site file names the same folder."),
    ] = Path("/var/lib/gatehouse"),
    code: Annotated[
        str | None,
        typer.Option(
            "--code",
            help="The one-time code that `gatehouse hub gateways add` printed. Better leave it out: it is then asked "
            "for, or read from standard input, and stands in no shell history.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the identity that is in the state folder already.")
    ] = False,
) -> None:
    """Make this machine a gateway of a hub: agree on keys and keep them in the state folder (mode 600)."""
    from edge.daemon import software_version
    from edge.enrolment import enroll as agree
    from edge.errors import EdgeError

    try:
        identity = agree(
            hub, code if code is not None else _asked_code(), state_dir, software_version(), replace=replace
        )
    except EdgeError as error:
        _fail(str(error))
    print(f"enrolled as gateway {identity.gateway}; identity kept in {state_dir}")


app.command(epilog=edge_replay_command.EXAMPLES)(edge_replay_command.replay)
app.command(epilog=edge_tune_command.EXAMPLES)(edge_tune_command.tune)


def _asked_code() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("One-time code", hide_input=True))
    return sys.stdin.readline().strip()


def _fail(message: str, status: int = 2) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(status)
