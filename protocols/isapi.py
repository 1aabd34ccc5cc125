"""Hikvision ISAPI, its access control part: what a door terminal tells, and what it is told.

An `EventNotificationAlert` comes in JSON or XML and is told apart by its first byte. Of an event only the fields of
`AccessEvent` are read: no name, no picture address, no temperature. The messages to a device are JSON but for the
remote control and the event host, which every firmware takes as XML.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from protocols.base import ProtocolError, explain

MAX_MESSAGE_BYTES = 256 * 1024
MAX_XML_DEPTH = 16
MAX_XML_ELEMENTS = 5000
SEARCH_PAGE = 30
"""The most results that every firmware gives in one page."""

PERIODS_A_DAY = 8
"""The rows of a weekday in a week plan."""

MAX_OPEN_S = 255
"""The longest open duration of a door; the shortest is 1 s."""

MAX_SERIAL = 2**63 - 1
LAST_SERIAL = 3_000_000_000
"""The largest number that devices take in a search; they count from 1."""

_NAMESPACE = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'
_NOT_SETTABLE = frozenset(
    {
        "stressPassword", "superPassword", "unlockPassword",
        "useLocalController", "localControllerID", "localControllerDoorNumber", "localControllerStatus",
        "remoteControlPWStatus",
    }
)  # fmt: skip
"""Of `DoorParam`: passwords, which are never read or written here, and what is read-only."""
_NAME = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class AccessEvent:
    """One entry of a device's log. `major` and `minor` are the codes of the device network SDK."""

    major: int
    minor: int
    serial: int | None = None
    """Its number in the device's log, rising; None from a firmware that has none."""
    at: datetime | None = None
    """The device's time; without zone where the device tells none."""
    door: int | None = None
    card: str = ""
    employee: str = ""
    card_reader_kind: int = 0
    current: bool = True
    """False: from the log, told (again) after the fact."""


@dataclass(frozen=True)
class SearchPage:
    """One page of the log. `returned` counts entries, also those that could not be read (`unreadable`)."""

    events: tuple[AccessEvent, ...]
    returned: int
    unreadable: int
    more: bool


@dataclass(frozen=True)
class Answer:
    """A `ResponseStatus`: what a device says to a command. `sub_code` is such as `employeeNoAlreadyExist`."""

    ok: bool
    status: str
    sub_code: str


@dataclass(frozen=True)
class DoorParam:
    """How a door is set at a device: for how many seconds an `open` lets it go, and all that can be set, as text."""

    open_s: int
    settable: Mapping[str, str]


@dataclass(frozen=True)
class User:
    """A person as a device keeps one: an opaque number and no name. Times are local and inclusive."""

    employee: str
    begin: datetime
    end: datetime
    templates: tuple[tuple[int, tuple[int, ...]], ...]
    """(door, plan templates) for each door where it may open."""


@dataclass(frozen=True)
class WorkStatus:
    """How a device stands: whether each door (from 1) is open, None where it does not know."""

    open_doors: tuple[bool | None, ...]
    tamper: bool | None


def _time(value: object) -> object:
    """A time, or None where it is none: an event with a broken time is still an event."""
    try:
        return datetime.fromisoformat(value[:40]) if isinstance(value, str) else None
    except ValueError:
        return None


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Time = Annotated[datetime | None, BeforeValidator(_time)]
_Short = Annotated[str, Field(max_length=64), BeforeValidator(_text)]
_Code = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
_Serial = Annotated[int, Field(ge=0, le=MAX_SERIAL)]


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _EventBody(_Read):
    major: _Code = Field(alias="majorEventType")
    minor: _Code = Field(0, alias="subEventType")
    serial: _Serial | None = Field(None, alias="serialNo")
    door: _Code | None = Field(None, alias="doorNo")
    card: _Short = Field("", alias="cardNo")
    employee: _Short = Field("", alias="employeeNoString")
    card_reader_kind: _Code = Field(0, alias="cardReaderKind")
    current: bool = Field(True, alias="currentEvent")


class _Alert(_Read):
    event_type: _Short = Field("", alias="eventType")
    at: _Time = Field(None, alias="dateTime")
    body: _EventBody | None = Field(None, alias="AccessControllerEvent")


class _LogEntry(_Read):
    major: _Code
    minor: _Code
    at: _Time = Field(None, alias="time")
    serial: _Serial = Field(alias="serialNo")
    door: _Code | None = Field(None, alias="doorNo")
    card: _Short = Field("", alias="cardNo")
    employee: _Short = Field("", alias="employeeNoString")
    card_reader_kind: _Code = Field(0, alias="cardReaderKind")


class _Found(_Read):
    status: _Short = Field("", alias="responseStatusStrg")
    entries: list[Any] = Field(default_factory=list, alias="InfoList")


class _Search(_Read):
    found: _Found = Field(alias="AcsEvent")


class _Response(_Read):
    code: _Code = Field(0, alias="statusCode")
    status: Annotated[str, Field(max_length=256)] = Field("", alias="statusString")
    sub_code: Annotated[str, Field(max_length=256)] = Field("", alias="subStatusCode")


class _Doors(_Read):
    contacts: list[int] = Field(default_factory=list, alias="magneticStatus", max_length=256)
    tamper: Any = Field(None, alias="hostAntiDismantleStatus")


class _Work(_Read):
    status: _Doors = Field(alias="AcsWorkStatus")


class _Employee(_Read):
    employee: _Short = Field(alias="employeeNo")


class _UserPage(_Read):
    status: _Short = Field("", alias="responseStatusStrg")
    users: list[_Employee] = Field(default_factory=list, alias="UserInfo")


class _UserSearch(_Read):
    found: _UserPage = Field(alias="UserInfoSearch")


class _CountBody(_Read):
    users: _Code = Field(alias="userNumber")


class _Count(_Read):
    count: _CountBody = Field(alias="UserInfoCount")


class _DeviceInfo(_Read):
    serial: _Short = Field(alias="serialNumber")


def is_message(headers: Mapping[str, str]) -> bool:
    """Whether a part of a multipart body is a message to read; the others are pictures."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind:
        return kind in {"application/json", "application/xml", "text/xml", "text/json", "text/plain"}
    return "filename" not in headers.get("content-disposition", "").lower()


def parse_notification(body: bytes) -> AccessEvent | None:
    """Read an `EventNotificationAlert`; None for a heartbeat and for every event but an `AccessControllerEvent`.

    Raises:
        ProtocolError: if it is neither JSON nor XML as expected.
    """
    fields = _fields(body)
    inner = fields.get("EventNotificationAlert")
    alert = _validated(_Alert, inner if isinstance(inner, dict) else fields)
    if alert.event_type != "AccessControllerEvent" or alert.body is None:
        return None
    return AccessEvent(at=alert.at, **alert.body.model_dump())


def search_events(search_id: str, position: int, first_serial: int, since: datetime | None) -> bytes:
    """`AcsEventCond` (POST /ISAPI/AccessControl/AcsEvent?format=json): the log's entries in order, from a serial
    number (0: any) and a time of the device's zone on."""
    condition: dict[str, Any] = {
        "searchID": search_id,
        "searchResultPosition": position,
        "maxResults": SEARCH_PAGE,
        "major": 0,
        "minor": 0,
        "picEnable": False,
        "timeReverseOrder": False,
    }
    if since is not None:
        condition["startTime"] = since.isoformat(timespec="seconds")
        condition["endTime"] = "2037-12-31T23:59:59" + since.isoformat(timespec="seconds")[19:]
    if first_serial:
        condition |= {"beginSerialNo": first_serial, "endSerialNo": max(first_serial, LAST_SERIAL)}
    return _json({"AcsEventCond": condition})


def parse_search(body: bytes) -> SearchPage:
    """Read one page of the log. An entry that cannot be read is counted and left out.

    Raises:
        ProtocolError: if the page cannot be read.
    """
    found = _validated(_Search, _fields(body)).found
    events, unreadable = [], 0
    for entry in found.entries:
        try:
            read = _LogEntry.model_validate(entry)
        except ValidationError:
            unreadable += 1
        else:
            events.append(AccessEvent(**read.model_dump(), current=False))
    return SearchPage(tuple(events), len(found.entries), unreadable, found.status.upper() == "MORE")


def parse_answer(body: bytes) -> Answer:
    """Read a `ResponseStatus`.

    Raises:
        ProtocolError: if it is none.
    """
    fields = _fields(body)
    inner = fields.get("ResponseStatus")
    read = _validated(_Response, inner if isinstance(inner, dict) else fields)
    return Answer(read.code in (0, 1) and read.sub_code.lower() in ("", "ok"), read.status, read.sub_code)


def parse_device_serial(body: bytes) -> str:
    """The device's serial number, of GET /ISAPI/System/deviceInfo.

    Raises:
        ProtocolError: if it is not there.
    """
    fields = _fields(body)
    inner = fields.get("DeviceInfo")
    return _validated(_DeviceInfo, inner if isinstance(inner, dict) else fields).serial


def parse_work_status(body: bytes) -> WorkStatus:
    """Read `AcsWorkStatus` (GET /ISAPI/AccessControl/AcsWorkStatus?format=json): contacts are 0 shut, 1 open.

    Raises:
        ProtocolError: if it cannot be read.
    """
    status = _validated(_Work, _fields(body)).status
    contacts = tuple({0: False, 1: True}.get(each) for each in status.contacts)
    tamper = {"0": False, "close": False, "1": True, "open": True}.get(str(status.tamper).lower())
    return WorkStatus(contacts, tamper)


def parse_user_count(body: bytes) -> int:
    """How many users a device has, of GET /ISAPI/AccessControl/UserInfo/Count?format=json.

    Raises:
        ProtocolError: if it cannot be read.
    """
    return _validated(_Count, _fields(body)).count.users


def search_users(search_id: str, position: int) -> bytes:
    """`UserInfoSearchCond` (POST /ISAPI/AccessControl/UserInfo/Search?format=json): every user."""
    condition = {"searchID": search_id, "searchResultPosition": position, "maxResults": SEARCH_PAGE}
    return _json({"UserInfoSearchCond": condition})


def parse_user_search(body: bytes) -> tuple[tuple[str, ...], bool]:
    """The employee numbers of one page, and whether there are more.

    Raises:
        ProtocolError: if the page cannot be read.
    """
    found = _validated(_UserSearch, _fields(body)).found
    return tuple(user.employee for user in found.users), found.status.upper() == "MORE"


def user_info(user: User) -> bytes:
    """`UserInfo` (POST …/UserInfo/Record, PUT …/UserInfo/Modify). Its name is the number's first 8 characters."""
    fields = {
        "employeeNo": user.employee,
        "name": user.employee[:8],
        "userType": "normal",
        "Valid": {
            "enable": True,
            "beginTime": user.begin.isoformat(timespec="seconds"),
            "endTime": user.end.isoformat(timespec="seconds"),
            "timeType": "local",
        },
        "doorRight": ",".join(str(door) for door, _ in user.templates),
        "RightPlan": [
            {"doorNo": door, "planTemplateNo": ",".join(map(str, templates))} for door, templates in user.templates
        ],
    }
    return _json({"UserInfo": fields})


def delete_user(employee: str) -> bytes:
    """`UserInfoDelCond` (PUT …/UserInfo/Delete): its cards and faces go with it."""
    return _json({"UserInfoDelCond": {"EmployeeNoList": [{"employeeNo": employee}]}})


def card_info(employee: str, card: str) -> bytes:
    """`CardInfo` (POST …/CardInfo/Record)."""
    return _json({"CardInfo": {"employeeNo": employee, "cardNo": card, "cardType": "normalCard"}})


def delete_card(card: str) -> bytes:
    """`CardInfoDelCond` (PUT …/CardInfo/Delete) of one card."""
    return _json({"CardInfoDelCond": {"CardNoList": [{"cardNo": card}]}})


def delete_cards_of(employee: str) -> bytes:
    """`CardInfoDelCond` of all cards of one user."""
    return _json({"CardInfoDelCond": {"EmployeeNoList": [{"employeeNo": employee}]}})


def week_plan(periods: Sequence[tuple[int, int, int]]) -> bytes:
    """`UserRightWeekPlanCfg` (PUT …/UserRightWeekPlanCfg/<n>).

    Args:
        periods: (weekday with Monday 0, first minute, end minute), at most 8 a weekday. Every row of the plan is
            written, the unused ones switched off.
    """
    rows = []
    for weekday, name in enumerate(_WEEKDAYS):
        own = [(first, end) for day, first, end in periods if day == weekday]
        if len(own) > PERIODS_A_DAY:
            raise ValueError(f"a weekday has {PERIODS_A_DAY} periods at most")
        for number in range(PERIODS_A_DAY):
            used = number < len(own)
            first, end = own[number] if used else (0, 0)
            segment = {"beginTime": _clock(first), "endTime": _clock(end)}
            rows.append({"week": name, "id": number + 1, "enable": used, "TimeSegment": segment})
    return _json({"UserRightWeekPlanCfg": {"enable": True, "WeekPlanCfg": rows}})


def plan_template(number: int, name: str) -> bytes:
    """`UserRightPlanTemplate` (PUT …/UserRightPlanTemplate/<n>): the week plan of the same number, no holidays."""
    fields = {"enable": True, "templateName": name, "weekPlanNo": number, "holidayGroupNo": ""}
    return _json({"UserRightPlanTemplate": fields})


def remote_control(command: str) -> bytes:
    """`RemoteControlDoor` (PUT …/RemoteControl/door/<n>): `open`, `close` (back under control) or `alwaysOpen`."""
    return f"<RemoteControlDoor {_NAMESPACE}><cmd>{command}</cmd></RemoteControlDoor>".encode()


def parse_door_param(body: bytes) -> DoorParam:
    """Read `DoorParam` (GET …/Door/param/<n>); its passwords and what is only told are left out.

    Raises:
        ProtocolError: if it is none, or does not tell the open duration.
    """
    fields = _fields(body).get("DoorParam")
    told = fields.get("openDuration") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(told, str) or not told.isascii() or not told.isdigit():
        raise ProtocolError("a door's parameters lack the open duration")
    settable = {
        name: value
        for name, value in fields.items()
        if isinstance(value, str) and value.isprintable() and _NAME.fullmatch(name) and name not in _NOT_SETTABLE
    }
    return DoorParam(int(told[:9]), settable)


def door_param(param: DoorParam, open_s: int) -> bytes:
    """`DoorParam` (PUT …/Door/param/<n>): as the device told it, but for the open duration, from 1 to 255 s."""
    fields = {**param.settable, "openDuration": str(open_s)}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f"<DoorParam {_NAMESPACE}>{inner}</DoorParam>".encode()


def http_host(slot: int, path: str, address: str, port: int) -> bytes:
    """`HttpHostNotification` (PUT /ISAPI/Event/notification/httpHosts/<slot>): where the device sends its events.

    Args:
        address: a literal IP address.
    """
    family = "ipv6Address" if ":" in address else "ipAddress"
    return (
        f"<HttpHostNotification {_NAMESPACE}><id>{slot}</id><url>{path}</url><protocolType>HTTP</protocolType>"
        f"<parameterFormatType>JSON</parameterFormatType><addressingFormatType>ipaddress</addressingFormatType>"
        f"<{family}>{address}</{family}><portNo>{port}</portNo>"
        f"<httpAuthenticationMethod>none</httpAuthenticationMethod></HttpHostNotification>"
    ).encode()


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}:00"


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


_Model = TypeVar("_Model", bound=_Read)


def _validated(model: type[_Model], fields: object) -> _Model:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ProtocolError(f"unexpected {explain(error)}") from None


def _fields(body: bytes) -> dict[str, Any]:
    """The fields of a message in JSON or XML."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message is longer than {MAX_MESSAGE_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig").strip().strip("\0")
    except UnicodeDecodeError:
        raise ProtocolError("a message is not UTF-8") from None
    fields = _xml(text) if text.startswith("<") else _object(text)
    if not isinstance(fields, dict):
        raise ProtocolError("a message is neither a JSON object nor an XML element")
    return fields


def _object(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("a message is not JSON") from None


def _xml(text: str) -> object:
    if "<!" in text.replace("<!--", "").replace("<![CDATA[", ""):
        raise ProtocolError("a message declares a document type or entities")
    parser = ET.XMLParser(target=_XmlFields())  # noqa: S314 (no document type gets here)
    try:
        parser.feed(text)
        return parser.close()
    except (ET.ParseError, ValueError) as error:
        raise error if isinstance(error, ProtocolError) else ProtocolError("a message is not XML") from None


class _XmlFields:
    """Builds nested dictionaries of local names from an XML document of bounded depth and size; the first of several
    elements of one name counts."""

    def __init__(self) -> None:
        self._open: list[dict[str, Any]] = []
        self._texts: list[list[str]] = []
        self._elements = 0
        self._root: object = None

    def start(self, _tag: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) >= MAX_XML_DEPTH or self._elements > MAX_XML_ELEMENTS:
            raise ProtocolError("a message has too many elements, or too deep ones")
        self._open.append({})
        self._texts.append([])

    def data(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def end(self, tag: str) -> None:
        children, text = self._open.pop(), "".join(self._texts.pop()).strip()
        value = children or text
        if self._open:
            if value:
                self._open[-1].setdefault(tag.rpartition("}")[2], value)
        else:
            self._root = {tag.rpartition("}")[2]: value}

    def close(self) -> object:
        return self._root
