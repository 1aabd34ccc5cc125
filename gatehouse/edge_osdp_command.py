"""`gatehouse edge osdp`: give OSDP readers their keys."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    import socket

    from edge.access.config import AccessConfig
    from edge.access.drivers.osdp.rekey import Rekeying
    from edge.config import SiteConfig

app = typer.Typer(name="osdp", help="Give OSDP readers their keys.", no_args_is_help=True, rich_markup_mode=None)

_Reader = Annotated[str, typer.Argument(metavar="READER", help="The reader's id in the site file.")]
_Config = Annotated[Path, typer.Option("--config", "-c", help="The site file (TOML) that names the reader.")]

_PROVISION_EXAMPLES = """Example, on the bench, for the reader r-east of site.toml:

  systemctl stop gatehouse-edge

  gatehouse edge osdp provision r-east --config site.toml

  systemctl start gatehouse-edge
"""

_ROTATE_EXAMPLES = """Example, for the reader r-east of site.toml, while the gateway runs:

  sudo -u gatehouse gatehouse edge osdp rotate r-east --config /etc/gatehouse/site.toml
"""

_GOES_ON = (
    "neither key is lost; the gateway goes on by itself, or when it is back, and keeps the one that the reader proves "
    "to hold; its log says which"
)


@app.command(epilog=_PROVISION_EXAMPLES)
def provision(
    reader: _Reader,
    config: _Config,
    minutes: Annotated[
        int, typer.Option(min=1, max=60, help="How long to wait for the reader to be in install mode.")
    ] = 5,
) -> None:
    """Give a reader in install mode its first key, and keep the key in its scbk_file.

    A reader in install mode takes the default key, which everybody knows, so whoever listens on its line meanwhile
    learns the new one: do this on the bench, or with the line in view. The gateway must be stopped. The reader is
    spoken to alone; put it into install mode as its maker's manual says, before or while this waits. The key is made
    by this machine, is never shown, and takes the old one's place only when the reader has proven to hold it. From then
    on the gateway speaks to the reader over its secure channel and in no other way. Exit status: 0 when the reader
    holds its key, 1 when it does not (which key it holds is said), 2 for a fault in the site file.
    """
    rekeying = _rekeying(_site(config).access, reader, config)
    print(f'waiting up to {minutes} min for reader "{reader}" in install mode; Ctrl-C ends this', flush=True)
    _run(lambda: rekeying.provision(minutes * 60.0))


@app.command(epilog=_ROTATE_EXAMPLES)
def rotate(reader: _Reader, config: _Config) -> None:
    """Change the key of a reader that has one, over its secure channel.

    While the gateway runs it does this itself, told over its control socket: run this as the gateway's user or as root,
    with the site file that it runs with. The reader is away for a fraction of a second, of which nothing is reported;
    it is reported offline only if it stays away for 5 s. The other readers of its bus go on working. With the gateway
    stopped this command speaks to the reader itself, and its doors stay shut meanwhile.

    Either way the reader needs no install mode, the new key is made by this machine and never shown, and it takes the
    old one's place in scbk_file only when the reader has proven to hold it; until then both are kept, and no power cut
    loses the one that the reader holds. Takes some seconds. Exit status as for `provision`.
    """
    site = _site(config)
    gateway = _gateway(site.gateway.state_dir)
    if gateway is None:
        _run(_rekeying(site.access, reader, config).rotate)
    else:
        _order(gateway, "osdp.rotate", reader)


def _gateway(state_dir: Path) -> "socket.socket | None":
    """A connection to the gateway, if it runs."""
    from edge.control_socket import SOCKET_NAME, reach

    try:
        gateway = reach(state_dir)
    except PermissionError:
        typer.echo(
            f"{state_dir / SOCKET_NAME}: this user may not ask whether the gateway runs (its own user and root may); "
            "going on as if it were stopped",
            err=True,
        )
        return None
    if gateway is not None:
        print("the gateway runs: it changes the key itself, and its doors stay in service", flush=True)
    return gateway


def _order(gateway: "socket.socket", order: str, reader: str) -> None:
    from edge.control_socket import ControlFault, give_order

    try:
        with gateway:
            answer = give_order(gateway, order, lambda sentence: print(sentence, flush=True), reader=reader)
    except ControlFault as fault:
        _fail(f"the gateway told no outcome ({fault}): {_GOES_ON}", 1)
    except KeyboardInterrupt:
        _fail(f"interrupted: {_GOES_ON}", 1)
    if not answer.done:
        _fail(answer.sentence, 1)
    print(answer.sentence, flush=True)


def _site(config: Path) -> "SiteConfig":
    from edge.config import load_config
    from edge.errors import ConfigurationError

    try:
        return load_config(config, with_keys=False)
    except ConfigurationError as error:
        _fail(str(error), 2)


def _rekeying(access: "AccessConfig", reader: str, config: Path) -> "Rekeying":
    from edge.access.drivers.osdp.rekey import RekeyFault, Rekeying

    row = next((each for each in access.reader if each.id == reader), None)
    if row is None:
        known = ", ".join(each.id for each in access.reader if each.bus is not None) or "none"
        _fail(f'{config}: there is no reader "{reader}" (OSDP readers are: {known})', 2)
    bus = next((each for each in access.reader_bus if each.id == row.bus), None)
    if bus is None:
        _fail(f'{config}: reader "{reader}" is on a device, not on an OSDP bus, and has no key to set', 2)
    try:
        return Rekeying(bus, row, lambda sentence: print(sentence, flush=True))
    except RekeyFault as fault:
        _fail(str(fault), 2)


def _run(work: Callable[[], None]) -> None:
    from edge.access.drivers.osdp.rekey import RekeyFault

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which key the reader holds is said then too
    try:
        work()
    except RekeyFault as fault:
        _fail(str(fault), 1)
    except KeyboardInterrupt:
        _fail("interrupted", 1)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(status)
