"""What the sub-commands of `gatehouse hub` share: configuration, database, tables, and errors told in a sentence."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cloud.config import HubConfig
    from cloud.foundation import Foundation


def print_table(lines: list[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def progress_on_terminal() -> Callable[[str, int], None]:
    """Tells on a terminal how many of what are done; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda _what, _done: None

    def tell(what: str, done: int) -> None:
        sys.stderr.write(f"\r{what}: {done:,}\x1b[K")
        sys.stderr.flush()

    return tell


def ask_to_confirm(question: str, yes: bool) -> None:
    """End the command unless the user agrees, or said so before."""
    if not yes:
        typer.confirm(question, abort=True)


def read_settings(context: typer.Context, config: Path | None) -> "HubConfig":
    """The configuration of `--config`, of this command or of `hub`, under the environment."""
    import os

    from cloud.config import load_config

    parent = context.find_object(Path)
    variables = {key: value for key, value in os.environ.items() if key != "GATEHOUSE_HUB_CONFIG"}
    return load_config(config or parent, variables)


@contextlib.contextmanager
def opened_foundation(context: typer.Context, config: Path | None) -> Iterator["Foundation"]:
    """Secrets and database, closed at the end."""
    from cloud.foundation import open_foundation

    foundation = open_foundation(read_settings(context, config))
    try:
        yield foundation
    finally:
        foundation.database.close()


@contextlib.contextmanager
def told_faults() -> Iterator[None]:
    """One sentence on stderr for what can go wrong: status 2 for what the user wrote, 1 for what the machine did."""
    from sqlalchemy.exc import SQLAlchemyError

    from cloud.audit.log import AuditError
    from cloud.broker import BrokerError
    from cloud.database.migrations import DatabaseIsNewer
    from cloud.foundation import HubError
    from cloud.vault import VaultError

    try:
        yield
    except ValueError as fault:  # what was asked for: every such error of the hub is one
        typer.echo(f"gatehouse hub: {fault}", err=True)
        raise typer.Exit(2) from fault
    except (HubError, BrokerError, VaultError, DatabaseIsNewer, AuditError) as failure:
        typer.echo(f"gatehouse hub: {failure}", err=True)
        raise typer.Exit(1) from failure
    except SQLAlchemyError as failure:
        cause = str(getattr(failure, "orig", None) or failure).strip().splitlines()
        typer.echo(f"gatehouse hub: the database cannot be used: {cause[0] if cause else failure}", err=True)
        raise typer.Exit(1) from failure
    except OSError as failure:
        typer.echo(f"gatehouse hub: {failure.filename or 'system'}: {failure.strerror or failure}", err=True)
        raise typer.Exit(1) from failure
