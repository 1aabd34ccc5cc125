"""What the rules of cameras need to know of their site."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from edge.door_news import DoorNews
from edge.video.rules.hours import SpecialDays


@dataclass(frozen=True)
class Surroundings:
    """The site's time zone and calendar, and what its doors tell."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    special_days: SpecialDays = tuple
    doors: DoorNews | None = None
