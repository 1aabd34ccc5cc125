"""Which of a camera's ONVIF events say that something moves, whoever made it.

Standards: ONVIF Core Specification (events: notification messages), ONVIF Analytics Service Specification (topics of
the rule engine). The makers' own topics are those of the package `onvif-parsers` (Apache-2.0), in which Home Assistant
keeps what it learned device by device. The times in messages are not read: devices send nonsense there.
"""

from dataclasses import dataclass

from protocols.xml_reading import Element

MAX_EVENTS = 200
_ON, _OFF = ("true", "1", "active", "on"), ("false", "0", "inactive", "off")

_STATES = frozenset(
    (
        "VideoSource/MotionAlarm",
        "RuleEngine/CellMotionDetector/Motion",
        "RuleEngine/MotionRegionDetector/Motion",
        "RuleEngine/FieldDetector/ObjectsInside",
        # TP-Link
        "RuleEngine/CellMotionDetector/People",
        "RuleEngine/CellMotionDetector/Intrusion",
        "RuleEngine/CellMotionDetector/LineCross",
        "RuleEngine/CellMotionDetector/TpSmartEvent",
        "RuleEngine/PeopleDetector/People",
        "RuleEngine/LineCrossDetector/LineCross",
        "RuleEngine/TPSmartEventDetector/TPSmartEvent",
        # Reolink, Dahua, Ajax
        "RuleEngine/MyRuleDetector/PeopleDetect",
        "RuleEngine/MyRuleDetector/VehicleDetect",
        "RuleEngine/MyRuleDetector/DogCatDetect",
        "RuleEngine/MyRuleDetector/Visitor",
        "UserAlarm/IVA/HumanShapeDetect",
        "RuleEngine/MotionDetector/Detection",
    )
)
"""Topics with a state. How the item that holds it is called differs; that it is a truth value does not."""

_PULSES = frozenset(("RuleEngine/LineDetector/Crossed", "RuleEngine/LineDetector/Crossing"))
"""Topics that tell of a moment."""

_AXIS = "CameraApplicationPlatform/VMD/"
"""Axis' motion detection has a topic for each of its profiles."""

_SOURCES = (
    "videosourceconfigurationtoken",
    "videosourcetoken",
    "videosource",
    "source",
    "videosourceconfiguration",
    "channel",
)


@dataclass(frozen=True)
class MotionEvent:
    """Something moves, or no longer does. `topic` without prefixes; `source` is the device's name of the lens, if any.

    `initial`: how it stood when the subscription began. `lasting`: an end will be told.
    """

    topic: str
    source: str
    active: bool
    initial: bool
    lasting: bool = True


def read_motion(answer: Element) -> tuple[MotionEvent, ...]:
    """The motion among the messages (`PullMessagesResponse`), in their order; other topics are passed over."""
    events = (_motion(each) for each in list(answer.all("NotificationMessage"))[:MAX_EVENTS])
    return tuple(event for event in events if event is not None)


def _motion(message: Element) -> MotionEvent | None:
    topic = "/".join(step.rpartition(":")[2] for step in message.text_of("Topic")[:200].split("/"))
    inner = message.child("Message", "Message")
    if inner is None:
        return None
    initial = inner.attributes.get("PropertyOperation") == "Initialized"
    source = next((value for name, value in _items(inner.child("Source")) if name in _SOURCES), "")[:64]
    if topic in _PULSES:
        return None if initial else MotionEvent(topic, source, active=True, initial=False, lasting=False)
    if topic not in _STATES and not topic.startswith(_AXIS):
        return None
    values = [value.lower() for _, value in _items(inner.child("Data"))]
    known = [value for value in values if value in _ON + _OFF]
    if not known or inner.attributes.get("PropertyOperation") == "Deleted":
        return None
    return MotionEvent(topic, source, any(value in _ON for value in known), initial)


def _items(holder: Element | None) -> list[tuple[str, str]]:
    """Names, in lower case, and values."""
    items = [] if holder is None else list(holder.all("SimpleItem"))[:20]
    return [(each.attributes.get("Name", "").lower(), each.attributes.get("Value", "").strip()) for each in items]
