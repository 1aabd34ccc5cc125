"""`gatehouse demo`: the whole system on this machine, as `make demo` starts it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="demo",
    help="The whole system on this machine, on loopback alone.",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
)

_EXAMPLES = """Examples:

  gatehouse demo                    until Ctrl-C, with a live summary

  gatehouse demo --duration 60      ends by itself; exit status 0 if the whole path worked
"""


@app.callback(epilog=_EXAMPLES)
def demo(
    duration: Annotated[
        float, typer.Option("--duration", min=0, help="Seconds to run once everything is up; 0: until Ctrl-C.")
    ] = 0,
    folder: Annotated[
        Path, typer.Option("--folder", help="Where the demo keeps its files; made afresh at every start.")
    ] = Path(".demo"),
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The console's port; another one is taken if it is in use.")
    ] = 8080,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the summary's figures to this file as well.")
    ] = None,
) -> None:
    """Run hub, broker, gateway, five doors and three cameras, with a made-up village of Anshun and 1,200 residents.

    Two more communities are played, to which everything happens: alarms of every kind climb to the district.

    The reader bytes are real OSDP from played readers, the video is real surveillance clips
    and a drawn one, served over RTSP.
    """
    from gatehouse.demo.processes import DemoError
    from gatehouse.demo.run import run_demo

    try:
        worked = run_demo(folder.absolute(), duration, port, json_file)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    raise typer.Exit(0 if worked else 1)
