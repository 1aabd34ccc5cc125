"""The words of a message, made from the fields of `Fact` and from nothing else. A person is not among them.

A place is named down to its building or unit, never the dwelling: who lives alone must not be known to a group. What
looks like a number of a person, a phone, a card or a vehicle is blotted out even where an operator wrote it into the
name of a place or rule.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.alarms.states import Level, Move, Priority
from cloud.notify.settings import Language

MAX_LISTED = 5
"""Alarms that a joined message names; of the others it says how many there are."""
MAX_NAME = 60
BLOT = "▇"
_NUMBERS = re.compile(r"\d(?:[\s.·-]?\d){5,}[\s.·-]?[\dXx]")
"""Seven digits and more: ID numbers, phones, long cards; also when they are set apart."""
_CARDS = re.compile(r"(?:w\d\d|raw\d+):[0-9a-f:]+", re.IGNORECASE)
_PLATES = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领][A-Za-z][\s·-]?[A-Za-z0-9]{4,6}[学警港澳挂领使]?"
)
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")

_TEXTS: dict[Language, dict[str, str]] = {
    "zh-CN": {
        "alarm": "告警",
        "priority": "{}级",
        "place": "地点",
        "nowhere": "（未关联地点）",
        "at": "时间",
        "number": "编号",
        "several": "{}条告警",
        "more": "另有{}条，请在值班台查看",
        "nobody": "此级无人值班，已通知该级全体人员",
        "test": "测试消息：通知渠道{}工作正常",
        "joint": "，",
        Move.RAISED: "新告警 → {}",
        Move.REPEATED: "再次发生 → {}",
        Move.ESCALATED: "超时升级 → {}",
        Move.PASSED_UP: "上报 → {}",
        Move.UNSHELVED: "搁置结束 → {}",
        Move.PASSED_ON: "转来 → {}",
        Level.GUARD.name: "门岗",
        Level.COMMUNITY.name: "村（社区）",
        Level.TOWNSHIP.name: "乡镇（街道）",
        Level.DISTRICT.name: "区县",
    },
    "en": {
        "alarm": "Alarm",
        "priority": "priority {}",
        "place": "Place",
        "nowhere": "(no place)",
        "at": "Time",
        "number": "Number",
        "several": "{} alarms",
        "more": "and {} more: see the guard's desk",
        "nobody": "Nobody is on duty at this level: everybody there was told",
        "test": "A test: channel {} works",
        "joint": ", ",
        Move.RAISED: "new → {}",
        Move.REPEATED: "again → {}",
        Move.ESCALATED: "not taken on in time → {}",
        Move.PASSED_UP: "passed up → {}",
        Move.UNSHELVED: "off the shelf → {}",
        Move.PASSED_ON: "passed on → {}",
        Level.GUARD.name: "guard post",
        Level.COMMUNITY.name: "community",
        Level.TOWNSHIP.name: "township",
        Level.DISTRICT.name: "district",
    },
}


@dataclass(frozen=True)
class Fact:
    """What may be told of an announced alarm. There is no other field, and none of a person may be added."""

    alarm: UUID
    rule: str
    title: str
    title_zh: str
    priority: Priority
    level: Level
    move: Move
    community: str | None
    place: str | None
    at: datetime
    nobody_on_duty: bool = False

    @property
    def number(self) -> str:
        """The end of the alarm's id, by which people call it."""
        return self.alarm.hex[-8:].upper()


@dataclass(frozen=True)
class Message:
    """One message as a channel sends it. `key` stays the same however often it is sent.

    Attributes:
        facts: the alarms that it names; `more`: how many others it stands for.
        short: one line, for a text message or a subject.
        address: to whom, for channels that have recipients.
    """

    key: UUID
    channel: str
    language: Language
    facts: tuple[Fact, ...]
    more: int
    short: str
    text: str
    made_at: datetime
    link: str | None = None
    address: str = ""

    def to(self, address: str) -> "Message":
        """The same message to an address."""
        return replace(self, address=address)

    def as_json(self) -> dict[str, Any]:
        """What a webhook is sent."""
        return {
            "key": str(self.key),
            "text": self.text,
            "alarms": [
                {
                    "alarm": str(fact.alarm),
                    "number": fact.number,
                    "rule": fact.rule,
                    "title": clean(fact.title),
                    "title_zh": clean(fact.title_zh),
                    "priority": int(fact.priority),
                    "level": fact.level.name.lower(),
                    "move": fact.move.value,
                    "community": clean(fact.community),
                    "place": clean(fact.place),
                    "at": fact.at.isoformat(),
                    "nobody_on_duty": fact.nobody_on_duty,
                    "link": _link(self.link, fact),
                }
                for fact in self.facts
            ],
            "more": self.more,
        }


@dataclass(frozen=True)
class Wording:
    """How a site words its messages."""

    zone: ZoneInfo
    link: str | None = None

    def compose(self, key: UUID, channel: str, language: Language, facts: Sequence[Fact], now: datetime) -> Message:
        """A message about announced alarms, the most urgent first."""
        ordered = sorted(facts, key=lambda fact: (fact.priority, fact.at, fact.alarm))
        listed, more = tuple(ordered[:MAX_LISTED]), max(0, len(ordered) - MAX_LISTED)
        if len(listed) == 1 and not more:
            short, text = self._line(listed[0], language), self._whole(listed[0], language)
        else:
            short, text = self._several(listed, more, language)
        return Message(key, channel, language, listed, more, short, text, now, self.link)

    def test(self, key: UUID, channel: str, language: Language, now: datetime) -> Message:
        """What tries a channel."""
        text = _TEXTS[language]["test"].format(channel)
        return Message(key, channel, language, (), 0, text, text, now)

    def _whole(self, fact: Fact, language: Language) -> str:
        words = _TEXTS[language]
        lines = [
            f"【{words['alarm']} {words['priority'].format(int(fact.priority))}】{_title(fact, language)}",
            f"{words['place']}: {_where(fact, language)}",
            words[fact.move].format(words[fact.level.name]),
            f"{words['at']}: {self._time(fact.at)}",
            f"{words['number']}: {fact.number}",
        ]
        if fact.nobody_on_duty:
            lines.append(words["nobody"])
        if link := _link(self.link, fact):
            lines.append(link)
        return "\n".join(lines)

    def _line(self, fact: Fact, language: Language) -> str:
        words = _TEXTS[language]
        head = f"【{words['alarm']} {words['priority'].format(int(fact.priority))}】{_title(fact, language)}"
        rest = (_where(fact, language), self._time(fact.at), f"{words['number']} {fact.number}")
        return words["joint"].join((head, *rest))

    def _several(self, listed: Sequence[Fact], more: int, language: Language) -> tuple[str, str]:
        words = _TEXTS[language]
        head = f"【{words['several'].format(len(listed) + more)}】"
        lines = [head, *(self._line(fact, language) for fact in listed)]
        if more:
            lines.append(words["more"].format(more))
        if self.link:
            lines.append(self.link)
        return head + (self._line(listed[0], language) if listed else ""), "\n".join(lines)

    def _time(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%m-%d %H:%M:%S}"


def clean(text: str | None) -> str | None:
    """A name without line breaks and invisible signs, without what looks like a person's number, at most `MAX_NAME`."""
    if text is None:
        return None
    plain = _BLANKS.sub(" ", text).strip()
    for pattern in (_CARDS, _NUMBERS, _PLATES):
        plain = pattern.sub(BLOT, plain)
    return plain if len(plain) <= MAX_NAME else plain[: MAX_NAME - 1] + "…"


def cut(text: str, size_bytes: int) -> str:
    """The text in no more bytes of UTF-8, with … at the end where it was cut."""
    encoded = text.encode()
    if len(encoded) <= size_bytes:
        return text
    return encoded[: size_bytes - 3].decode(errors="ignore") + "…"


def _title(fact: Fact, language: Language) -> str:
    return clean(fact.title_zh if language == "zh-CN" else fact.title) or fact.rule


def _where(fact: Fact, language: Language) -> str:
    names = [clean(name) for name in (fact.community, fact.place) if name]
    return " · ".join(dict.fromkeys(name for name in names if name)) or _TEXTS[language]["nowhere"]


def _link(link: str | None, fact: Fact) -> str | None:
    return f"{link.rstrip('/')}/?alarm={fact.alarm}" if link else None
