"""ISAPI messages: events in JSON and XML as devices write them, the log's pages, what we write, and hostile input."""

import json
import random
import tracemalloc
from datetime import datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import isapi
from protocols.base import ProtocolError
from protocols.isapi import AccessEvent, Answer, User

EMPLOYEE = "0123456789abcdef0123456789abcdef"
JSON_EVENT = b"""{
	"ipAddress":	"192.168.1.64",
	"portNo":	80,
	"protocol":	"HTTP",
	"dateTime":	"2026-03-01T08:00:05+08:00",
	"activePostCount":	1,
	"eventType":	"AccessControllerEvent",
	"eventState":	"active",
	"AccessControllerEvent":	{
		"deviceName":	"Access Controller",
		"majorEventType":	5,
		"subEventType":	75,
		"name":	"Zhang San",
		"cardNo":	"786777",
		"cardReaderKind":	1,
		"cardReaderNo":	1,
		"doorNo":	1,
		"employeeNoString":	"0123456789abcdef0123456789abcdef",
		"serialNo":	4711,
		"currentVerifyMode":	"cardOrFaceOrFp",
		"currentEvent":	true,
		"mask":	"no",
		"picturesNumber":	1
	}
}
"""
XML_EVENT = b"""<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>192.168.1.64</ipAddress>
<dateTime>2026-03-01T08:00:05+08:00</dateTime>
<eventType>AccessControllerEvent</eventType>
<eventState>active</eventState>
<AccessControllerEvent>
<majorEventType>5</majorEventType><subEventType>75</subEventType>
<name>Zhang San</name><cardNo>786777</cardNo><cardReaderKind>1</cardReaderKind><doorNo>1</doorNo>
<employeeNoString>0123456789abcdef0123456789abcdef</employeeNoString>
<serialNo>4711</serialNo><currentEvent>true</currentEvent>
</AccessControllerEvent>
</EventNotificationAlert>
"""
HEARTBEAT = b"""<EventNotificationAlert version="1.0" xmlns="http://www.hikvision.com/ver20/XMLSchema">
<channelID>1</channelID><dateTime>2026-03-01T08:00:05+08:00</dateTime><activePostCount>0</activePostCount>
<eventType>videoloss</eventType><eventState>inactive</eventState></EventNotificationAlert>"""
EVENT = AccessEvent(
    major=5,
    minor=75,
    serial=4711,
    at=datetime.fromisoformat("2026-03-01T08:00:05+08:00"),
    door=1,
    card="786777",
    employee=EMPLOYEE,
    card_reader_kind=1,
    current=True,
)
PAGE = b"""{"AcsEvent":{"searchID":"1","totalMatches":62,"responseStatusStrg":"MORE","numOfMatches":2,"InfoList":[
{"major":5,"minor":1,"time":"2026-03-01T08:00:05+08:00","cardNo":"786777","cardType":1,"name":"Zhang San",
 "cardReaderNo":1,"doorNo":2,"employeeNoString":"e1","type":0,"serialNo":12,"userType":"normal",
 "currentVerifyMode":"card","mask":"unknown","pictureURL":"http://192.168.1.64/pic/1.jpeg"},
{"major":5,"minor":21,"time":"2026-03-01T08:00:05+08:00","doorNo":2,"type":0,"serialNo":13}]}}"""


@pytest.mark.parametrize("body", [JSON_EVENT, XML_EVENT, b"\xef\xbb\xbf" + JSON_EVENT, XML_EVENT + b"\0"])
def test_an_event_is_read_in_either_spelling(body: bytes) -> None:
    assert isapi.parse_notification(body) == EVENT


def test_an_event_wrapped_in_its_name_is_read() -> None:
    assert isapi.parse_notification(b'{"EventNotificationAlert":' + JSON_EVENT + b"}") == EVENT


def test_no_name_is_read() -> None:
    assert "Zhang" not in repr(isapi.parse_notification(JSON_EVENT)) + repr(isapi.parse_search(PAGE))


@pytest.mark.parametrize("body", [HEARTBEAT, b'{"eventType":"heartBeat"}', b"{}", b"<EventNotificationAlert/>"])
def test_a_heartbeat_is_no_event(body: bytes) -> None:
    assert isapi.parse_notification(body) is None


@pytest.mark.parametrize("time", ['"yesterday"', '""', "5", "null", '"2026-13-01T00:00:00"'])
def test_an_event_with_a_broken_time_is_still_an_event(time: str) -> None:
    body = JSON_EVENT.replace(b'"2026-03-01T08:00:05+08:00"', time.encode())
    event = isapi.parse_notification(body)
    assert event is not None
    assert event.at is None


def test_numbers_for_texts_and_texts_for_numbers_are_taken() -> None:
    body = JSON_EVENT.replace(b'"786777"', b"786777").replace(b"4711", b'"4711"')
    assert isapi.parse_notification(body) == EVENT


def test_a_page_of_the_log_is_read_and_a_poisoned_entry_left_out() -> None:
    page = isapi.parse_search(PAGE)
    poisoned = isapi.parse_search(PAGE.replace(b'"serialNo":12', b'"serialNo":"x"'))

    assert [event.serial for event in page.events] == [12, 13]
    assert page.events[0].door == 2
    assert not page.events[0].current
    assert (page.more, page.returned, page.unreadable) == (True, 2, 0)
    assert [event.serial for event in poisoned.events] == [13]
    assert (poisoned.returned, poisoned.unreadable) == (2, 1)


def test_an_empty_page_is_the_end() -> None:
    page = isapi.parse_search(b'{"AcsEvent":{"searchID":"1","responseStatusStrg":"NO MATCH","numOfMatches":0}}')
    assert (page.events, page.returned, page.more) == ((), 0, False)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"statusCode":1,"statusString":"OK","subStatusCode":"ok"}', Answer(True, "OK", "ok")),
        (
            b'{"statusCode":6,"statusString":"Invalid Content","subStatusCode":"employeeNoAlreadyExist"}',
            Answer(False, "Invalid Content", "employeeNoAlreadyExist"),
        ),
        (
            b'<ResponseStatus version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"><requestURL>/x</requestURL>'
            b"<statusCode>1</statusCode><statusString>OK</statusString><subStatusCode>ok</subStatusCode>"
            b"</ResponseStatus>",
            Answer(True, "OK", "ok"),
        ),
        (
            b"<ResponseStatus><statusCode>4</statusCode><statusString>Invalid Operation</statusString>"
            b"<subStatusCode>notSupport</subStatusCode></ResponseStatus>",
            Answer(False, "Invalid Operation", "notSupport"),
        ),
    ],
)
def test_an_answer_is_read(body: bytes, answer: Answer) -> None:
    assert isapi.parse_answer(body) == answer


def test_a_device_says_who_it_is_and_how_it_stands() -> None:
    info = b'<DeviceInfo version="2.0" xmlns="x"><model>K1</model><serialNumber>DS-K1T1</serialNumber></DeviceInfo>'
    work = b'{"AcsWorkStatus":{"doorLockStatus":[0,0],"magneticStatus":[0,1,4],"hostAntiDismantleStatus":0}}'

    assert isapi.parse_device_serial(info) == "DS-K1T1"
    assert isapi.parse_work_status(work) == isapi.WorkStatus((False, True, None), False)
    assert isapi.parse_user_count(b'{"UserInfoCount":{"userNumber":7}}') == 7
    users = b'{"UserInfoSearch":{"responseStatusStrg":"OK","UserInfo":[{"employeeNo":"7","name":"x"}]}}'
    assert isapi.parse_user_search(users) == (("7",), False)


def test_a_user_goes_out_without_a_name() -> None:
    begin, end = datetime(2026, 1, 1), datetime(2026, 12, 31, 23, 59, 59)  # noqa: DTZ001 (local, as devices want)
    sent = json.loads(isapi.user_info(User(EMPLOYEE, begin, end, ((1, (2, 3)), (4, (2,))))))

    assert sent == {
        "UserInfo": {
            "employeeNo": EMPLOYEE,
            "name": "01234567",
            "userType": "normal",
            "Valid": {
                "enable": True,
                "beginTime": "2026-01-01T00:00:00",
                "endTime": "2026-12-31T23:59:59",
                "timeType": "local",
            },
            "doorRight": "1,4",
            "RightPlan": [{"doorNo": 1, "planTemplateNo": "2,3"}, {"doorNo": 4, "planTemplateNo": "2"}],
        }
    }


def test_a_week_plan_writes_every_row() -> None:
    sent = json.loads(isapi.week_plan([(0, 480, 720), (0, 780, 1440), (6, 0, 1440)]))["UserRightWeekPlanCfg"]
    used = [
        (row["week"], row["id"], row["TimeSegment"]["beginTime"], row["TimeSegment"]["endTime"])
        for row in sent["WeekPlanCfg"]
        if row["enable"]
    ]

    assert len(sent["WeekPlanCfg"]) == 56
    assert used == [
        ("Monday", 1, "08:00:00", "12:00:00"),
        ("Monday", 2, "13:00:00", "24:00:00"),
        ("Sunday", 1, "00:00:00", "24:00:00"),
    ]
    with pytest.raises(ValueError, match="periods"):
        isapi.week_plan([(0, minute, minute + 1) for minute in range(9)])


def test_the_xml_that_is_sent_is_xml() -> None:
    host = ET.fromstring(isapi.http_host(1, "/isapi/abc", "10.0.0.2", 8080))
    name = "{http://www.isapi.org/ver20/XMLSchema}"

    assert host.findtext(f"{name}ipAddress") == "10.0.0.2"
    assert host.findtext(f"{name}url") == "/isapi/abc"
    assert ET.fromstring(isapi.http_host(1, "/", "fd00::1", 1)).findtext(f"{name}ipv6Address") == "fd00::1"
    assert ET.fromstring(isapi.remote_control("open")).findtext(f"{name}cmd") == "open"


DOOR_PARAM = b"""<?xml version="1.0" encoding="UTF-8"?>
<DoorParam version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<doorName>Gate &amp; yard</doorName><openDuration>5</openDuration><magneticAlarmTimeout>30</magneticAlarmTimeout>
<stressPassword>MTIzNDU2</stressPassword><superPassword></superPassword><localControllerID>0</localControllerID>
</DoorParam>"""


def test_a_doors_open_duration_is_read_and_written_with_the_rest_as_it_was() -> None:
    param = isapi.parse_door_param(DOOR_PARAM)
    written = ET.fromstring(isapi.door_param(param, 7))

    assert param.open_s == 5
    name = "{http://www.isapi.org/ver20/XMLSchema}"
    assert written.tag == f"{name}DoorParam"
    assert {element.tag.removeprefix(name): element.text for element in written} == {
        "doorName": "Gate & yard",
        "openDuration": "7",
        "magneticAlarmTimeout": "30",
    }
    assert isapi.parse_door_param(isapi.door_param(param, 7)).open_s == 7


@pytest.mark.parametrize("told", [b"", b"soon", b"-1", b"5.5", "٥".encode()])
def test_a_door_without_a_readable_open_duration_is_refused(told: bytes) -> None:
    with pytest.raises(ProtocolError, match="open duration"):
        isapi.parse_door_param(DOOR_PARAM.replace(b"<openDuration>5", b"<openDuration>" + told))


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=5), st.integers(1, 255))
def test_whatever_a_device_says_of_a_door_what_goes_back_is_xml(told: dict[str, str], open_s: int) -> None:
    param = isapi.parse_door_param(json.dumps({"DoorParam": {**told, "openDuration": "5"}}).encode())

    written = ET.fromstring(isapi.door_param(param, open_s))

    assert isapi.parse_door_param(ET.tostring(written)).open_s == open_s


def test_a_search_says_from_where_on() -> None:
    sent = json.loads(isapi.search_events("s", 30, 4711, datetime.fromisoformat("2026-03-01T08:00:05+08:00")))

    wanted = sent["AcsEventCond"]
    assert (wanted["searchResultPosition"], wanted["beginSerialNo"], wanted["maxResults"]) == (30, 4711, 30)
    assert (wanted["startTime"], wanted["endTime"]) == ("2026-03-01T08:00:05+08:00", "2037-12-31T23:59:59+08:00")
    assert wanted["picEnable"] is False


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BOMB, id="entities"),
        pytest.param(b'<?xml version="1.0"?>' + BOMB, id="entities after a declaration"),
        pytest.param(b"<!--x-->" + BOMB, id="entities after a comment"),
        pytest.param("<x/>".encode("utf-16"), id="another encoding"),
        pytest.param(b"<a>" * 5000 + b"</a>" * 5000, id="deep XML"),
        pytest.param(b"<a>" + b"<b/>" * 6000 + b"</a>", id="many elements"),
        pytest.param(b'{"a":' * 20000 + b"1" + b"}" * 20000, id="deep JSON"),
        pytest.param(b"[" * 200_000, id="deep lists"),
        pytest.param(b'{"AccessControllerEvent":' + b"9" * 5000 + b"}", id="a huge number"),
        pytest.param(JSON_EVENT.replace(b"4711", b"9" * 4000), id="a huge serial number"),
        pytest.param(JSON_EVENT.replace(b"4711", b"-1"), id="a negative serial number"),
        pytest.param(JSON_EVENT.replace(b"786777", b"7" * 65), id="a long card number"),
        pytest.param(b"{" + b" " * 300_000 + b"}", id="too long"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff\xd8\xff\xe0", id="a picture"),
        pytest.param(b"<a></b>", id="broken XML"),
    ],
)
def test_hostile_messages_are_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        isapi.parse_notification(body)


def test_a_refusal_tells_no_value() -> None:
    with pytest.raises(ProtocolError) as refused:
        isapi.parse_notification(JSON_EVENT.replace(b"4711", b'"Zhang San"'))
    assert "Zhang" not in str(refused.value)


PARSERS = (
    isapi.parse_notification,
    isapi.parse_search,
    isapi.parse_answer,
    isapi.parse_device_serial,
    isapi.parse_work_status,
    isapi.parse_user_count,
    isapi.parse_user_search,
    isapi.parse_door_param,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["AcsEvent", "InfoList", "serialNo", "time", "AccessControllerEvent", "eventType", "UserInfoSearch", "UserInfo",
         "DoorParam", "openDuration", "AcsWorkStatus", "magneticStatus", "ResponseStatus", "statusCode", "employeeNo",
         "major", "minor", "dateTime"]
    ), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


def _survives(body: bytes) -> bool:
    read = False
    for parse in PARSERS:
        try:
            parse(body)
            read = True
        except ProtocolError:
            pass
    return read


@given(st.binary(max_size=400))
def test_no_bytes_crash_a_parser(body: bytes) -> None:
    _survives(body)


@given(VALUES)
def test_no_json_crashes_a_parser(value: object) -> None:
    _survives(json.dumps(value).encode())


@given(st.integers(0, 0xFFFF), st.integers(0, 2**40), st.text(st.characters(codec="utf-8"), max_size=64))
def test_an_event_comes_back_as_it_was_written(minor: int, serial: int, card: str) -> None:
    fields = {"majorEventType": 5, "subEventType": minor, "serialNo": serial, "cardNo": card}
    body = json.dumps({"eventType": "AccessControllerEvent", "AccessControllerEvent": fields}).encode()

    assert isapi.parse_notification(body) == AccessEvent(5, minor, serial, card=card)


def test_fuzz_no_mutation_crashes_a_parser_or_eats_memory() -> None:
    rng = random.Random(20261123)
    sources = [JSON_EVENT, XML_EVENT, HEARTBEAT, PAGE, DOOR_PARAM, BOMB]
    tracemalloc.start()
    read = 0
    for _ in range(4000):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[place] = rng.randrange(256)
                case 1:
                    del data[place : place + rng.randrange(20)]
                    data += b" "
                case _:
                    data[place:place] = data[place : place + rng.randrange(60)] * rng.randrange(5)
        read += _survives(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert read > 200
    assert peak < 8_000_000
