"""How the alarms stand for a guard, a district officer and an administrator, how the notification channels fare, and
what an auditor finds: the demo's last pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from cloud.rules.book import shipped_rules
from cloud.rules.definition import Rule
from gatehouse.demo.staff import Colleague

_HIGHEST = 3
_JOURNAL = 4
LEVELS = ("guard post", "community", "township", "district")
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """What three people see of the alarms at one moment."""

    guard: Sequence[_Row]
    district: Sequence[_Row]
    whole: Sequence[_Row]
    """What an administrator sees, whose the whole hub is: also alarms of no place, as of a channel that fails."""

    @property
    def at_district(self) -> set[str]:
        """The kinds of which one alarm stands at the district, before the eyes of whose it is."""
        of_no_place = [row for row in self.whole if row["place"] is None and row["community"] is None]
        return {row["rule"] for row in (*self.district, *of_no_place) if row["level"] == _HIGHEST}

    @property
    def missing(self) -> list[str]:
        """The kinds of which none stands there, and one should."""
        wanted = [rule.code for rule in shipped_rules() if rule.priority != _JOURNAL]
        return [code for code in wanted if code not in self.at_district]

    @property
    def settled(self) -> int:
        return sum(row["handling"] == "closed" and row["priority"] != _JOURNAL for row in self.guard)

    def at_level(self) -> list[int]:
        """How many alarms that are open stand at each level."""
        levels = [row["level"] for row in self.district if row["handling"] != "closed"]
        return [levels.count(level) for level in range(len(LEVELS))]


def standing(guard: Colleague, district: Colleague, administrator: Colleague) -> Standing:
    """Ask for the three queues, open and ended."""
    return Standing(list(_alarms(guard)), list(_alarms(district)), list(_alarms(administrator)))


def _alarms(of: Colleague) -> Iterator[_Row]:
    for state in ("open", "closed"):
        yield from of.get(f"/alarms?state={state}")["items"]


def views(now: Standing) -> Table:
    """A line for each kind: how many the guard sees of the own compound, the district officer of the district, and the
    administrator of the whole hub."""
    title, foot = "Alarms: a guard's view beside a district officer's", "* It begins at this level."
    table = Table(title=title, title_justify="left", caption=foot, caption_justify="left")
    for heading in ("kind", "P", "guard", "district", "whole\nhub", "highest\nlevel"):
        table.add_column(heading, justify="left" if heading in ("kind", "highest\nlevel") else "right")
    for rule in shipped_rules():
        seen = [row for row in now.whole if row["rule"] == rule.code]
        if seen:
            counts = (sum(row["rule"] == rule.code for row in rows) for rows in (now.guard, now.district, now.whole))
            title, priority = f"{rule.title_zh} {rule.title}", str(int(rule.priority))
            highest = _highest(rule, max(row["level"] for row in seen))
            table.add_row(title, priority, *(str(count or "-") for count in counts), highest)
    return table


def _highest(rule: Rule, level: int) -> str:
    if rule.priority == _JOURNAL:
        return "journal"
    return f"{LEVELS[level]} *" if level == rule.first_level > 0 else LEVELS[level]


def channels_report(channels: Sequence[_Row]) -> Iterator[str]:
    """How each notification channel fares."""
    for each in channels:
        sent = f"last sent at {each['last_sent_at'][11:19]}" if each["last_sent_at"] else "has sent nothing"
        since, why = each["failing_since"], each["last_failure"]
        failing = f"; failing since {since[11:19]}: {why}" if since else ""
        yield f"{each['name']} ({each['kind']}): {sent}{failing}; {each['waiting']} waiting"


def auditors_report(verified: str, looks: Sequence[_Row]) -> Iterator[str]:
    """Whether the record is whole, and who looked behind the mask of one person."""
    yield f"the record of who did what: {verified}"
    for look in looks:
        told = [look["action"], *(look["detail"][key] for key in ("fields", "purpose") if key in look["detail"])]
        yield f"  {look['time'][:19]} {look['account']}: {', '.join(told)}"
