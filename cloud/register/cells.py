"""What the text of a cell means: dates, days of the week, times, roles, kinds, lists. In Chinese or English."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from cloud.database.tables import PlaceKind, PostKind, ResidencyRole
from cloud.register.errors import RegisterError
from protocols.rules import Weekday

_E = TypeVar("_E", bound=StrEnum)

KINDS = {
    "市": PlaceKind.CITY,
    "区县": PlaceKind.DISTRICT,
    "乡镇": PlaceKind.TOWNSHIP,
    "街道": PlaceKind.TOWNSHIP,
    "村": PlaceKind.COMMUNITY,
    "社区": PlaceKind.COMMUNITY,
    "小区": PlaceKind.COMPOUND,
    "楼栋": PlaceKind.BUILDING,
    "单元": PlaceKind.UNIT,
    "房屋": PlaceKind.DWELLING,
    "出入口": PlaceKind.ENTRANCE,
}
ROLES = {
    "业主": ResidencyRole.OWNER,
    "产权人": ResidencyRole.OWNER,
    "租户": ResidencyRole.TENANT,
    "租客": ResidencyRole.TENANT,
    "家属": ResidencyRole.FAMILY,
    "寄住": ResidencyRole.LODGER,
}
POSTS = {
    "联户长": PostKind.UNIT_HEAD,
    "副联户长": PostKind.UNIT_DEPUTY,
    "网格长": PostKind.GRID_LEADER,
    "网格员": PostKind.GRID_MEMBER,
}
NONE = ("none", "无")
"""A list of nothing, where a cell may not be empty."""
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_TIME = re.compile(r"(\d{1,2})[:：](\d{2})(?::\d{2})?")
_DAYS: dict[str, tuple[int, ...]] = {
    "all": tuple(range(7)),
    "每天": tuple(range(7)),
    "workdays": tuple(range(5)),
    "工作日": tuple(range(5)),
    "weekend": (5, 6),
    "周末": (5, 6),
    "holiday": (Weekday.HOLIDAY,),
    "节假日": (Weekday.HOLIDAY,),
    **dict.fromkeys(NONE, ()),
}
_DAY_NAMES = {
    **{name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))},
    **{f"周{name}": number for number, name in enumerate("一二三四五六日")},
    **{f"星期{name}": number for number, name in enumerate("一二三四五六日")},
}
_SEPARATORS = re.compile(r"[;；,，、\s]+")


def one_of(text: str, field: str, kind: type[_E], chinese: Mapping[str, _E]) -> _E:
    """A word of a fixed list."""
    word = text.strip().lower()
    found = chinese.get(word)
    if found is None and word in set(kind):
        found = kind(word)
    if found is None:
        words = ", ".join(f"{each.value}" for each in kind)
        raise RegisterError(field, f"{text[:40]!r} is not known", f"write one of: {words} ({', '.join(chinese)})")
    return found


def list_of(text: str) -> list[str]:
    """Words that are set apart by semicolons, commas or spaces, each once."""
    return list(dict.fromkeys(word for word in _SEPARATORS.split(text) if word))


def day_start(text: str, field: str, zone: ZoneInfo) -> datetime:
    """The first instant of a date, at the community's place; or a moment, as exports write one within a day."""
    if (moment := _moment(text, field)) is not None:
        return moment
    day = _date(text, field)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def day_end(text: str, field: str, zone: ZoneInfo) -> datetime:
    """The first instant after a date: who moves out on the 31st still comes in that day; or a moment."""
    if (moment := _moment(text, field)) is not None:
        return moment
    day = _date(text, field) + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def day_text(moment: datetime, zone: ZoneInfo) -> str:
    """What `day_start` reads as this moment."""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d}" if _is_midnight(local) else local.isoformat()


def last_day_text(moment: datetime, zone: ZoneInfo) -> str:
    """What `day_end` reads as this moment."""
    local = moment.astimezone(zone)
    return f"{local - timedelta(days=1):%Y-%m-%d}" if _is_midnight(local) else local.isoformat()


def _is_midnight(local: datetime) -> bool:
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)


def _moment(text: str, field: str) -> datetime | None:
    """A moment with its zone, such as 2024-01-31T14:00:00+08:00; None: it has no time."""
    if "T" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None or not 1900 <= moment.year <= 2999:
            raise ValueError(text)
    except ValueError as error:
        raise RegisterError(field, f"{text[:40]!r} is no date", "write it as 2024-01-31") from error
    return moment


def _date(text: str, field: str) -> date:
    match = _DATE.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        found = date(*(int(part) for part in match.groups()))
        if not 1900 <= found.year <= 2999:
            raise ValueError(text)
    except ValueError as error:
        raise RegisterError(field, f"{text[:40]!r} is no date", "write it as 2024-01-31") from error
    return found


def minute_of_day(text: str, field: str) -> int:
    """Minutes after midnight; 24:00 is the day's end."""
    match = _TIME.fullmatch(text.strip())
    minutes = int(match[1]) * 60 + int(match[2]) if match and int(match[2]) < 60 else -1
    if not 0 <= minutes <= 24 * 60:
        raise RegisterError(field, f"{text[:40]!r} is no time of day", "write it as 06:00, the day's end as 24:00")
    return minutes


def weekdays(text: str, field: str) -> list[Weekday]:
    """Days: `mon-fri`, `周一至周五`, `sat;sun`, `all`, `每天`, `holiday`, `none`; a span may go over Sunday."""
    days: set[int] = set()
    for word in list_of(text.lower()):
        if word in _DAYS:
            days.update(_DAYS[word])
            continue
        first, _, last = word.replace("至", "-").replace("到", "-").partition("-")
        start, end = _DAY_NAMES.get(first), _DAY_NAMES.get(last or first)
        if start is None or end is None:
            raise RegisterError(field, f"{word[:40]!r} is no day", "write mon-fri, sat, all (周一至周五, 周六, 每天)")
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return [Weekday(day) for day in sorted(days)]
