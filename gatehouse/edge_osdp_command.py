"""`gatehouse edge osdp`: give OSDP readers their keys."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from edge.access.drivers.osdp.rekey import Rekeying

app = typer.Typer(name="osdp", help="Give OSDP readers their keys.", no_args_is_help=True, rich_markup_mode=None)

_Reader = Annotated[str, typer.Argument(metavar="READER", help="The reader's id in the site file.")]
_Config = Annotated[Path, typer.Option("--config", "-c", help="The site file (TOML) that names the reader.")]

_PROVISION_EXAMPLES = """Example, on the bench, for the reader r-east of site.toml:

  systemctl stop gatehouse-edge

  gatehouse edge osdp provision r-east --config site.toml

  systemctl start gatehouse-edge
"""


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
    rekeying = _rekeying(reader, config)
    print(f'waiting up to {minutes} min for reader "{reader}" in install mode; Ctrl-C ends this', flush=True)
    _run(lambda: rekeying.provision(minutes * 60.0))


@app.command()
def rotate(reader: _Reader, config: _Config) -> None:
    """Change the key of a reader that has one, over its secure channel.

    The gateway must be stopped; the reader needs no install mode and its doors stay shut meanwhile. The new key takes
    the old one's place in scbk_file only when the reader has proven to hold it. Takes some seconds. Exit status as for
    `provision`.
    """
    _run(_rekeying(reader, config).rotate)


def _rekeying(reader: str, config: Path) -> "Rekeying":
    from edge.access.drivers.osdp.rekey import RekeyFault, Rekeying
    from edge.config import load_config
    from edge.errors import ConfigurationError

    try:
        access = load_config(config, with_keys=False).access
    except ConfigurationError as error:
        _fail(str(error), 2)
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
