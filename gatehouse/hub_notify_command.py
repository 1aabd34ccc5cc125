"""`gatehouse hub notify`: channels and how they fare, what was told to whom, and a test of a channel."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from gatehouse.hub_shell import opened_foundation, print_table, told_faults

if TYPE_CHECKING:
    from datetime import datetime

_Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="GATEHOUSE_HUB_CONFIG", help="The hub's configuration (TOML).")
]
_MAX_LINES = 200

app = typer.Typer(
    help="Channels that tell of alarms outside the console: webhook, e-mail, WeCom, DingTalk, SMS. They are set in the "
    "hub's configuration, section web.notify.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_channels(context: typer.Context, config: _Config = None) -> None:
    """List the channels: what waits, since when one fails and why, when it last sent something."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.notify.record import read_channels

        with foundation.database.read() as connection:
            rows = read_channels(connection, foundation.config.web.notify)
        lines: list[tuple[str, ...]] = [
            ("CHANNEL", "KIND", "ROUTES", "TO", "WAITING", "LAST SENT", "FAILING SINCE", "WHY")
        ]
        for row in rows:
            lines.append(
                (
                    row.name,
                    row.kind,
                    ",".join(row.routes) or "none",
                    str(row.recipients),
                    str(row.waiting),
                    _moment(row.last_sent_at),
                    _moment(row.failing_since),
                    (row.last_failure or "-") if row.failing_since else "-",
                )
            )
        print_table(lines)


@app.command()
def log(
    context: typer.Context,
    alarm: Annotated[UUID | None, typer.Option("--alarm", help="Only of this alarm (its id).")] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="Only of this channel.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_MAX_LINES, help="How many lines.")] = 50,
    config: _Config = None,
) -> None:
    """List what was told to whom and what became of it, the newest first."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from cloud.accounts.scope import WHOLE
        from cloud.notify.record import read_notices

        with foundation.database.read() as connection:
            rows = read_notices(connection, WHOLE, alarm=alarm, channel=channel, limit=limit)
        lines: list[tuple[str, ...]] = [
            ("MADE", "CHANNEL", "TO", "P", "LEVEL", "RULE", "ALARM", "STEP", "STATE", "TRIES", "LAST ANSWER")
        ]
        for row in rows:
            what = (str(row.priority), str(row.level), row.rule, str(row.alarm), str(row.step))
            answer = f"{row.last_outcome or '-'} {row.detail}".strip()
            lines.append(
                (_moment(row.made_at), row.channel, row.recipient or "-", *what, row.state, str(row.attempts), answer)
            )
        print_table(lines)


@app.command("test")
def try_channel(
    context: typer.Context,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its name in the configuration.")],
    to: Annotated[
        str | None, typer.Option("--to", help="A recipient's name; by default the group, or the first one.")
    ] = None,
    config: _Config = None,
) -> None:
    """Send a test message now and say what the other side answers. It counts towards the channel's limit."""
    with told_faults(), opened_foundation(context, config) as foundation:
        from prometheus_client import CollectorRegistry

        from cloud.audit import AuditLog
        from cloud.foundation import new_id_maker, utc_now
        from cloud.notify.queue import TooOften
        from cloud.notify.sender import NotifySender

        settings = foundation.config.web.notify
        if channel not in settings.channels:
            raise ValueError(f"there is no channel {channel!r}; there are: {', '.join(settings.channels) or 'none'}")
        if to is not None and to not in settings.channels[channel].recipients:
            raise ValueError(f"channel {channel} has no recipient {to!r}")
        AuditLog(foundation.database, utc_now).append("notify.test", None, {"channel": channel})
        sender = NotifySender(foundation.database, settings, utc_now, new_id_maker(), CollectorRegistry())
        try:
            outcome = sender.test(channel, to)
        except TooOften as error:
            raise ValueError("the channel has sent as much as it may within a minute: try again then") from error
        if not outcome.sent:
            typer.echo(f"gatehouse hub: not sent: {outcome.failure}: {outcome.detail}", err=True)
            raise typer.Exit(1)
        typer.echo(f"sent: {outcome.detail}")


def _moment(at: "datetime | None") -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if at else "-"
