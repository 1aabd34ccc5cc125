"""`gatehouse hub seed` and `gatehouse hub rotate-key`."""

import contextlib
import socket
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud.register.seed.structure import Scale
from gatehouse.hub_shell import ask_to_confirm, opened_foundation, progress_on_terminal, read_settings, told_faults

if TYPE_CHECKING:
    from cloud.foundation import Foundation

_Config = Annotated[Path | None, typer.Option("--config", "-c", help="The hub's configuration (TOML).")]

_ANSWER_S = 2.0


def seed(
    context: typer.Context,
    scale: Annotated[Scale, typer.Option("--scale", help="How much is made.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much it would be.")] = False,
    beside: Annotated[
        bool, typer.Option("--beside-what-is-there", help="Also into a database that holds a register.")
    ] = False,
    config: _Config = None,
) -> None:
    """Make a register for trials: made-up people in the structure that Anshun has. Never for a hub that is in use.

    It is made once, as a whole or not at all, and cannot be taken out again.
    """
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.register.seed.seeding import seed as make
        from cloud.register.seed.structure import structure

        today = date.today()  # noqa: DTZ011 (a made-up register has no zone)
        counts = make(
            foundation.database, foundation.vault, structure(scale), today, dry_run, beside, progress_on_terminal()
        )
        if not dry_run:
            _audit(foundation, "register.seed", scale=scale.value)
        for what, count in counts.items():
            typer.echo(f"{count:>9,}  {what}")
        typer.echo("a dry run: nothing was made" if dry_run else "made; none of these persons is real", err=True)


def rotate_key(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: _Config = None,
) -> None:
    """Seal everything under a new master key, with the hub stopped. When it was cut off, run it again: it goes on.

    The old key stays beside the new one as vault.key.old: backups from before need it. Remove it with the last of them.
    """
    with told_faults():
        from cloud.rotation import rotate

        settings = read_settings(context, config)
        _refuse_running(settings.http.host, settings.http.port)
        ask_to_confirm("Is the hub stopped, with all its workers, and is there a backup?", yes)
        rows = rotate(settings.state_dir, settings.database_url, progress_on_terminal())
        with opened_foundation(context, config) as foundation:
            _audit(foundation, "vault.rotate", rows=str(rows))
        typer.echo(f"{rows:,} rows are sealed under the new key; the old one is {settings.state_dir / 'vault.key.old'}")


def _refuse_running(host: str, port: int) -> None:
    """A hub that runs would go on sealing under the old key."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), _ANSWER_S):
        raise ValueError(f"something answers on {host}:{port}: stop the hub and its workers first")


def _audit(foundation: "Foundation", action: str, **detail: str) -> None:
    from cloud.audit import AuditLog
    from cloud.foundation import utc_now

    AuditLog(foundation.database, utc_now).append(action, None, detail)
