"""How the alarms stand for a guard and for a district officer, and what an auditor finds: the demo's last pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from cloud.rules.book import shipped_rules
from gatehouse.demo.staff import Colleague

_HIGHEST = 3
_JOURNAL = 4
OF_NO_PLACE = "channel_failing"
"""A rule whose alarms belong to no place: only who has the whole hub sees them, and the demo has no channels."""
LEVELS = ("guard post", "community", "township", "district")
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """What two people see of the alarms at one moment."""

    guard: Sequence[_Row]
    district: Sequence[_Row]

    @property
    def kinds(self) -> set[str]:
        return {row["rule"] for row in self.district}

    @property
    def climbed(self) -> set[str]:
        """The kinds of which one alarm has come to the district."""
        return {row["rule"] for row in self.district if row["level"] == _HIGHEST}

    @property
    def missing(self) -> list[str]:
        """The kinds that should have climbed so far and have not."""
        wanted = [rule.code for rule in shipped_rules() if rule.priority != _JOURNAL and rule.code != OF_NO_PLACE]
        return [code for code in wanted if code not in self.climbed]

    @property
    def settled(self) -> int:
        return sum(row["handling"] == "closed" and row["priority"] != _JOURNAL for row in self.guard)

    def at_level(self) -> list[int]:
        """How many alarms that are open stand at each level."""
        levels = [row["level"] for row in self.district if row["handling"] != "closed"]
        return [levels.count(level) for level in range(len(LEVELS))]


def standing(guard: Colleague, district: Colleague) -> Standing:
    """Ask for both queues, open and ended."""
    return Standing(list(_alarms(guard)), list(_alarms(district)))


def _alarms(of: Colleague) -> Iterator[_Row]:
    for state in ("open", "closed"):
        yield from of.get(f"/alarms?state={state}")["items"]


def two_views(now: Standing) -> Table:
    """A line for each kind: how many the guard sees of the own compound, and the district officer of the district."""
    table = Table(title="Alarms: a guard's view beside a district officer's", title_justify="left")
    for heading in ("kind", "P", "guard", "district", "highest level"):
        table.add_column(heading, justify="right" if heading in ("P", "guard", "district") else "left")
    for rule in shipped_rules():
        seen = [row for row in now.district if row["rule"] == rule.code]
        if seen:
            own = sum(row["rule"] == rule.code for row in now.guard)
            highest = LEVELS[max(row["level"] for row in seen)] if rule.priority != _JOURNAL else "journal"
            table.add_row(
                f"{rule.title_zh} {rule.title}", str(int(rule.priority)), str(own or "-"), str(len(seen)), highest
            )
    return table


def auditors_report(verified: str, looks: Sequence[_Row]) -> Iterator[str]:
    """Whether the record is whole, and who looked behind the mask of one person."""
    yield f"the record of who did what: {verified}"
    for look in looks:
        told = [look["action"], *(look["detail"][key] for key in ("fields", "purpose") if key in look["detail"])]
        yield f"  {look['time'][:19]} {look['account']}: {', '.join(told)}"
