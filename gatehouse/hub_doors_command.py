"""`gatehouse hub doors`: doors, what they ask for, and when; credentials, passes and leases; commands and lockdowns.

Everything but the commands works on the hub's database, whether the hub runs or not; a running hub tells the gateways
within seconds.
"""

from typing import Annotated

import typer

from gatehouse import hub_act_command, hub_people_command, hub_weeks_command
from gatehouse.hub_doors_shell import (
    Code,
    Config,
    DoorName,
    DryRun,
    Json,
    Name,
    Yes,
    changing,
    code_of,
    door_key,
    group,
    reading,
    show,
    value_of,
)
from gatehouse.hub_shell import ask_to_confirm

_EXAMPLES = """Examples:

  gatehouse hub doors list

  gatehouse hub doors schedule set daytime --name 白天 --interval "mon-fri 08:00-22:00"

  gatehouse hub doors rule set gw-east/d-lobby --method card_pin --method card --card-alone daytime

  gatehouse hub doors holidays import --shipped china-2026

  gatehouse hub doors pass make --kind guest --host PERSON --door gw-east/d-lobby --label 亲戚 --hours-long 12

  gatehouse hub doors lockdown ask gw-east --why "a break-in" --as wang
"""

app = typer.Typer(
    help="Doors: what they ask for, who may pass when, passes, commands.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
)
rules = group("What a door asks for: methods, free hours, first card, two persons, interlock.")
readers = group("Readers of doors, and the areas that they lead into.")
areas = group("Areas of the site, with anti-passback.")
for _part, _name in (
    (rules, "rule"),
    (readers, "reader"),
    (areas, "area"),
    (hub_weeks_command.groups, "group"),
    (hub_weeks_command.schedules, "schedule"),
    (hub_weeks_command.holidays, "holidays"),
    (hub_people_command.credentials, "credential"),
    (hub_people_command.passes, "pass"),
    (hub_people_command.leases, "lease"),
    (hub_act_command.lockdowns, "lockdown"),
):
    app.add_typer(_part, name=_name)
app.command("residents")(hub_people_command.residents)
app.command("release")(hub_act_command.release)
app.command("mode")(hub_act_command.mode)
app.command("forgive")(hub_act_command.forgive)


@app.command("list")
def list_doors(context: typer.Context, as_json: Json = False, config: Config = None) -> None:
    """List the doors with their groups and what they ask for."""
    from cloud.access.doors import list_doors as found

    with reading(context, config) as (_, connection):
        show(found(connection), as_json, _DOOR)


@app.command("show")
def show_door(context: typer.Context, door: DoorName, as_json: Json = False, config: Config = None) -> None:
    """Show one door: place, groups, rule and readers. FORMAT below 2 is a gateway whose program knows no rules."""
    from cloud.access.doors import door as found

    with reading(context, config) as (_, connection):
        shown = found(connection, door_key(door))
        show([shown], as_json, _DOOR, single=True)
        if not as_json:
            typer.echo(f"rule: {shown.rule.model_dump_json(exclude_defaults=True) if shown.rule else 'none'}")
            for reader in shown.readers:
                typer.echo(f"reader {reader.device}: {reader.name}, leads {reader.leads} {reader.area or ''}".rstrip())


@app.command("put")
def put_door(
    context: typer.Context,
    door: DoorName,
    place: Annotated[str, typer.Option("--place", help="The code of the place where it is.")],
    name: Name,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Add a door that the gateway's configuration names, or change where it is and what it is called."""
    from cloud.access.doors import put_door as put
    from cloud.access.values.doors import DoorChange
    from cloud.register.ids import IdMaker

    with changing(context, config, dry_run) as change:
        key = door_key(door)
        done = put(change.connection, IdMaker(), key, value_of(DoorChange, {"place": place, "name": name}))
        change.put(f"door {door}", done, "door.put", gateway=key.gateway, door=key.device)


@app.command("remove")
def remove_door(
    context: typer.Context, door: DoorName, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Take a door out of the register, with its rule and readers. No group may hold it any more."""
    from cloud.access.doors import remove_door as remove

    ask_to_confirm(f"Remove door {door}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        key = door_key(door)
        remove(change.connection, key)
        change.note(f"door {door} is removed", "door.remove", gateway=key.gateway, door=key.device)


_DOOR = {
    "DOOR": lambda each: f"{each.gateway}/{each.device}",
    "NAME": lambda each: each.name,
    "PLACE": lambda each: each.place,
    "FORMAT": lambda each: each.policy_format,
    "GROUPS": lambda each: " ".join(each.groups),
    "METHODS": lambda each: " ".join(each.rule.methods) if each.rule else "any",
}


# --- rules and readers


@rules.command("set")
def set_rule(
    context: typer.Context,
    door: DoorName,
    method: Annotated[
        list[str],
        typer.Option("--method", help="card, pin, card_pin, qr, plate or face; each opens. Never face alone."),
    ],
    card_alone: Annotated[
        str | None, typer.Option("--card-alone", help="The schedule in which a card needs no PIN (with card_pin).")
    ] = None,
    free: Annotated[str | None, typer.Option("--free", help="The schedule in which the door stands free.")] = None,
    first_card: Annotated[
        str | None, typer.Option("--first-card", help="The schedule in which others wait for a first card.")
    ] = None,
    first_card_frees: Annotated[
        bool, typer.Option("--first-card-frees", help="That first card also frees the door.")
    ] = False,
    two_persons: Annotated[bool, typer.Option("--two-persons", help="Two holders within 15 seconds.")] = False,
    interlock: Annotated[
        str | None, typer.Option("--interlock", help="A name; of the doors with it one at most is open.")
    ] = None,
    keeps_list: Annotated[
        bool, typer.Option("--keeps-list", help="A board or terminal at the door keeps card numbers itself.")
    ] = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Set everything that a door asks for: what is left out is not asked for."""
    from cloud.access.doors import put_rule
    from cloud.access.values.doors import RuleValue

    with changing(context, config, dry_run) as change:
        key = door_key(door)
        fields = {
            "methods": method,
            "card_alone": card_alone,
            "free": free,
            "first_card": first_card,
            "first_card_frees": first_card_frees,
            "two_persons": two_persons,
            "interlock": interlock,
            "keeps_list": keeps_list,
        }
        rule = value_of(RuleValue, fields)
        done = put_rule(change.connection, key, rule)
        said = rule.model_dump_json()
        change.put(f"the rule of {door}", done, "door.rule.put", gateway=key.gateway, door=key.device, rule=said)


@rules.command("remove")
def remove_rule(
    context: typer.Context, door: DoorName, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Let a door take any credential that has a right there."""
    from cloud.access.doors import remove_rule as remove

    ask_to_confirm(f"Let {door} take any credential with a right there?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        key = door_key(door)
        remove(change.connection, key)
        change.note(f"door {door} has no rule", "door.rule.remove", gateway=key.gateway, door=key.device)


@readers.command("set")
def set_reader(
    context: typer.Context,
    door: DoorName,
    reader: Annotated[str, typer.Argument(help="As the gateway's configuration names it.")],
    name: Name,
    into: Annotated[str | None, typer.Option("--into", help="The area that it leads into.")] = None,
    out: Annotated[bool, typer.Option("--out", help="It leads out of every area.")] = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Add a reader to a door, or change where it leads: nowhere, into an area, or out."""
    from cloud.access.doors import put_reader
    from cloud.access.values.doors import ReaderValue

    with changing(context, config, dry_run) as change:
        if into is not None and out:
            raise ValueError("--into and --out: a reader leads one way")
        leads = "into" if into else "out" if out else "nowhere"
        value = value_of(ReaderValue, {"device": reader, "name": name, "leads": leads, "area": into})
        key = door_key(door)
        done = put_reader(change.connection, key, value)
        detail = {"gateway": key.gateway, "door": key.device, "reader": reader, "leads": leads}
        change.put(f"reader {reader}", done, "reader.put", **detail)


@readers.command("remove")
def remove_reader(
    context: typer.Context,
    door: DoorName,
    reader: str,
    yes: Yes = False,
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Take a reader out of the register."""
    from cloud.access.doors import remove_reader as remove

    ask_to_confirm(f"Remove reader {reader}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        key = door_key(door)
        remove(change.connection, key, reader)
        change.note(f"reader {reader} is removed", "reader.remove", gateway=key.gateway, reader=reader)


# --- areas


@areas.command("list")
def list_areas(context: typer.Context, as_json: Json = False, config: Config = None) -> None:
    """List the areas with their anti-passback."""
    from cloud.access.areas import list_areas as found

    columns = {
        "AREA": lambda each: each.code,
        "NAME": lambda each: each.name,
        "ANTI-PASSBACK": lambda each: each.anti_passback,
        "MINUTES": lambda each: each.minutes,
        "FORGIVES AT": lambda each: each.forgives_at,
    }
    with reading(context, config) as (_, connection):
        show(found(connection), as_json, columns)


@areas.command("set")
def set_area(
    context: typer.Context,
    code: Code,
    name: Name,
    anti_passback: Annotated[str, typer.Option("--anti-passback", help="off, soft, hard or timed.")] = "off",
    minutes: Annotated[int, typer.Option("--minutes", help="Of timed anti-passback.")] = 10,
    forgives_at: Annotated[
        str, typer.Option("--forgives-at", help="When it is forgotten who is inside, such as 04:00, or 'never'.")
    ] = "04:00",
    dry_run: DryRun = False,
    config: Config = None,
) -> None:
    """Add an area, or change its anti-passback."""
    from cloud.access.areas import put_area
    from cloud.access.values.doors import AreaChange
    from cloud.register.cells import minute_of_day

    with changing(context, config, dry_run) as change:
        minute = None if forgives_at == "never" else minute_of_day(forgives_at, "--forgives-at")
        fields = {"name": name, "anti_passback": anti_passback, "minutes": minutes}
        value = value_of(AreaChange, fields).model_copy(update={"forgives_at": minute})
        done = put_area(change.connection, code_of(code), value)
        change.put(f"area {code}", done, "area.put", area=code, anti_passback=anti_passback)


@areas.command("remove")
def remove_area(
    context: typer.Context, code: Code, yes: Yes = False, dry_run: DryRun = False, config: Config = None
) -> None:
    """Take an area away that no reader leads into."""
    from cloud.access.areas import remove_area as remove

    ask_to_confirm(f"Remove area {code}?", yes or dry_run)
    with changing(context, config, dry_run) as change:
        remove(change.connection, code)
        change.note(f"area {code} is removed", "area.remove", area=code)
