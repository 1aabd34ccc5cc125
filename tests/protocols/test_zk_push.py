"""ZKTeco push: what devices send, read from the maker's own examples and from nonsense, and what they are answered."""

import contextlib
import math
import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import zk_push_replies as replies
from protocols.base import ProtocolError
from protocols.zk_push import MAX_LINE_BYTES, Dialect, Endpoint, LineKeeper, parse_request
from protocols.zk_push_records import (
    ALARM_TAMPER,
    MAX_PARAMETERS,
    AccessRecord,
    decode_time,
    encode_time,
    read_access_record,
    read_attendance_record,
    read_card,
    read_command_result,
    read_door_states,
    read_lines,
    read_operation_record,
    read_parameters,
)


def local(*parts: int) -> datetime:
    """A time by a device's clock, which has no zone."""
    return datetime(*parts)  # noqa: DTZ001


READERS = (
    read_access_record,
    read_attendance_record,
    read_door_states,
    read_operation_record,
    read_command_result,
    read_parameters,
)
EXAMPLES = (
    "time=2017-01-10 11:49:32\tpin=0\tcardno=0\teventaddr=1\tevent=27\tinoutstatus=1\tverifytype=0\tindex=21",
    "time=2017-01-10 15:42:40\tsensor=00\trelay=00\talarm=0200000000000000",
    "1452\t2015-07-30 15:16:28\t0\t1\t0\t0\t0\t0\t\t\t+28800\t",
    "OPLOG 4\t14\t2015-07-30 10:22:34\t0\t0\t0\t0",
    "ID=info8487&Return=0&CMD=DATA",
    "DeviceType=acc,~DeviceName=F20/M,LockCount=1,DateFmtFunOn=0",
    "transaction cardno=0\tpin=0\tverified=200\tdoorid=1\teventtype=100\tinoutstate=2\ttime_second=548003687\tindex=92",
)


class TestRequests:
    def test_a_handshake_names_its_dialect(self) -> None:
        request = parse_request("GET", "/iclock/cdata?SN=3383154200002&pushver=3.0.1&options=all&DeviceType=acc")

        assert (request.endpoint, request.serial) == (Endpoint.CDATA, "3383154200002")
        assert request.declared_dialect is Dialect.ACCESS

    @pytest.mark.parametrize(
        ("query", "dialect"),
        [
            ("devicetype=att&table=rtlog", Dialect.ATTENDANCE),
            ("DeviceType=pid", Dialect.ATTENDANCE),
            ("table=rtlog", Dialect.ACCESS),
            ("TABLE=RTSTATE", Dialect.ACCESS),
            ("table=ATTLOG", Dialect.ATTENDANCE),
            ("table=options", None),
            ("pushver=3.1.2", None),
        ],
    )
    def test_the_dialect_is_told_by_type_or_table(self, query: str, dialect: Dialect | None) -> None:
        assert parse_request("POST", f"/iclock/cdata?SN=A1&{query}").declared_dialect is dialect

    @pytest.mark.parametrize(
        ("path", "endpoint"),
        [
            ("/iclock/getrequest", Endpoint.GETREQUEST),
            ("/iclock/cdata.aspx", Endpoint.CDATA),
            ("/iclock/ping/", Endpoint.PING),
            ("/iclock/fdata", Endpoint.OTHER),
            ("/iclock/other", Endpoint.OTHER),
        ],
    )
    def test_the_last_part_of_the_path_is_the_endpoint(self, path: str, endpoint: Endpoint) -> None:
        assert parse_request("GET", f"{path}?SN=A1").endpoint is endpoint

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            ("GET", "/"),
            ("GET", "/iclock?SN=A1"),
            ("GET", "/iclock/cdata"),
            ("GET", "/iclock/cdata?SN="),
            ("GET", "/iclock/cdata?SN=a%0Ab"),
            ("GET", "/iclock/cdata?SN=" + "1" * 41),
            ("GET", "/iclock/../etc/cdata?SN=A1"),
            ("PUT", "/iclock/cdata?SN=A1"),
            ("GET", "/iclock/cdata?SN=A1&" + "x" * 3000),
            ("GET", "/iclock/cdata?SN=A1" + "&a=1" * 100),
        ],
    )
    def test_anything_else_is_no_request_of_a_device(self, method: str, target: str) -> None:
        with pytest.raises(ProtocolError):
            parse_request(method, target)

    def test_a_table_name_that_is_none_is_not_repeated(self) -> None:
        request = parse_request("POST", "/iclock/cdata?SN=A1&table=tabledata&tablename=a%0D%0Ab")

        assert request.table_name == ""


class TestLines:
    def test_lines_are_the_same_however_the_body_is_cut(self) -> None:
        body = b"one\r\ntwo\n\n  \nthree\tx\0\nfour"
        for size in range(1, len(body) + 1):
            keeper = LineKeeper(lambda _: True, 1000)
            for place in range(0, len(body), size):
                keeper.receive(body[place : place + size])
            assert keeper.finish() == ["one", "two", "three\tx", "four"]
            assert keeper.line_count == 4

    def test_what_is_not_wanted_is_counted_and_not_kept(self) -> None:
        keeper = LineKeeper(lambda line: line.startswith(b"OPLOG"), 100)
        for _ in range(50):
            keeper.receive(b"FP PIN=1\tTMP=" + b"A" * 1000 + b"\n")
        keeper.receive(b"OPLOG 3\n")

        assert (keeper.finish(), keeper.line_count) == (["OPLOG 3"], 51)

    def test_a_line_without_end_costs_no_memory_and_is_dropped(self) -> None:
        keeper = LineKeeper(lambda _: True, 10 * MAX_LINE_BYTES)
        for _ in range(100):
            keeper.receive(b"x" * MAX_LINE_BYTES)
        keeper.receive(b"\nshort")

        assert (keeper.finish(), keeper.too_long_count) == (["short"], 1)

    def test_too_many_kept_lines_are_refused(self) -> None:
        keeper = LineKeeper(lambda _: True, 10)
        with pytest.raises(ProtocolError, match="more records"):
            keeper.receive(b"12345\n123456\n")


class TestRecords:
    def test_the_makers_real_time_event(self) -> None:
        assert read_access_record(EXAMPLES[0]) == AccessRecord(
            time=local(2017, 1, 10, 11, 49, 32), index=21, pin="", card=None, door=1, event=27, verify="0"
        )

    def test_the_makers_stored_event(self) -> None:
        record = read_access_record(EXAMPLES[6])

        assert (record.event, record.door, record.index, record.verify) == (100, 1, 92, "200")
        assert encode_time(record.time) == 548003687

    def test_fields_may_come_in_any_order_and_others_between(self) -> None:
        record = read_access_record(
            "index=7\tmaskflag=1\tevent=0\tnonsense\tcardno=123456789\tpin=12\teventaddr=3\ttime=2024-02-29 00:00:00"
        )

        assert (record.index, record.card, record.pin, record.door) == (7, 123456789, "12", 3)

    def test_an_event_that_is_sent_again_has_the_same_key_and_a_new_one_another(self) -> None:
        first = read_access_record("time=2024-01-01 00:00:00\tevent=0\tindex=5\tpin=1")
        stored = read_access_record(f"eventtype=0\ttime_second={encode_time(local(2024, 1, 1))}\tindex=5\tpin=1")
        after_clearing = read_access_record("time=2024-01-02 00:00:00\tevent=0\tindex=5\tpin=1")
        without_index = read_access_record("time=2024-01-01 00:00:00\tevent=0\tpin=1")

        assert first.key == stored.key
        assert len({first.key, after_clearing.key, without_index.key}) == 3

    def test_the_makers_door_states(self) -> None:
        states = read_door_states(EXAMPLES[1])

        assert states.open == (None, None, None, None)
        assert states.alarms[0] == ALARM_TAMPER
        assert not any(states.alarms[1:])

    def test_each_door_has_two_bits_from_the_lowest(self) -> None:
        states = read_door_states("time=2024-01-01 00:00:00\tsensor=0902\trelay=00\talarm=00")

        assert states.open == (False, True, None, None, True, None, None, None)

    def test_an_attendance_record_with_and_without_an_offset(self) -> None:
        assert read_attendance_record(EXAMPLES[2]).utc_offset_s == 28800
        record = read_attendance_record("7\t2024-01-01 08:00:00\t0\t15")
        assert (record.pin, record.verify, record.utc_offset_s) == ("7", "15", None)

    def test_an_operation(self) -> None:
        record = read_operation_record("OPLOG 3\t0\t2024-01-01 08:00:00\t55\t0\t0\t0")
        assert (record.operation, record.subject) == (3, 55)

    def test_results_in_either_case(self) -> None:
        assert read_command_result("ID=296&return=-10&CMD=DATA").value == -10

    def test_parameters_are_bounded(self) -> None:
        text = ",".join(f"k{number}={'v' * 1000}" for number in range(2 * MAX_PARAMETERS))
        found = read_parameters(text)

        assert len(found) == MAX_PARAMETERS
        assert max(map(len, found.values())) <= 256
        assert read_parameters(EXAMPLES[5])["devicename"] == "F20/M"

    @pytest.mark.parametrize(
        ("text", "card"),
        [("123456789", 123456789), ("[15CD5B07]", 123456789), ("0", None), ("", None), ("x", None), ("-5", None)],
    )
    def test_cards(self, text: str, card: int | None) -> None:
        assert read_card(text) == card

    def test_a_bad_line_costs_that_line_alone(self) -> None:
        records = read_lines([EXAMPLES[0], "rubbish", "time=2024-13-01 00:00:00\tevent=1"], read_access_record)

        assert (len(records.good), records.malformed) == (1, 2)

    @given(st.datetimes(local(2000, 1, 1), local(2099, 12, 31)))
    def test_times_survive_the_makers_seconds(self, time: datetime) -> None:
        assert decode_time(encode_time(time)) == time.replace(microsecond=0)

    @given(st.integers(-(10**19), 10**19))
    def test_any_number_is_a_time_or_a_protocol_error(self, seconds: int) -> None:
        with contextlib.suppress(ProtocolError):
            assert encode_time(decode_time(seconds)) == seconds

    @given(st.text(max_size=300))
    def test_any_text_is_a_record_or_a_protocol_error(self, text: str) -> None:
        for read in READERS:
            with contextlib.suppress(ProtocolError):
                read(text)

    @given(st.text(max_size=200), st.sampled_from(["GET", "POST"]))
    def test_any_target_is_a_request_or_a_protocol_error(self, text: str, method: str) -> None:
        for target in (text, f"/iclock/{text}", f"/iclock/cdata?SN=A1&{text}"):
            with contextlib.suppress(ProtocolError):
                assert parse_request(method, target).serial

    def test_mutated_examples_never_crash(self) -> None:
        chance = random.Random(7)
        for _ in range(30_000):
            text = list(chance.choice(EXAMPLES))
            for _ in range(chance.randint(1, 6)):
                place = chance.randrange(len(text))
                text[place : place + chance.randint(0, 3)] = chance.choice("\t=&,-0129Zé\0\x1c٣ []:")
                text = text or [" "]
            for read in READERS:
                with contextlib.suppress(ProtocolError):
                    read("".join(text))


class TestReplies:
    def test_an_access_handshake(self) -> None:
        lines = replies.access_options("Uy47fxftP3", "ABC", 1, registered=True).split("\n")

        assert lines[:2] == ["registry=ok", "RegistryCode=Uy47fxftP3"]
        assert {"RequestDelay=1", "SessionID=ABC", "Realtime=1", "PushProtVer=3.0.1"} <= set(lines)

    def test_an_attendance_handshake_asks_for_no_pictures_and_tells_the_zone(self) -> None:
        text = replies.attendance_options("A1", {"attlog": "77"}, 2, 480)
        lines = text.split("\n")

        assert lines[0] == "GET OPTION FROM: A1"
        assert {"ATTLOGStamp=77", "OPERLOGStamp=9999", "Delay=2", "TimeZone=8"} <= set(lines)
        assert "TransFlag=TransData AttLog\tOpLog" in lines
        assert "TimeZone=345" in replies.attendance_options("A1", {}, 2, 345)

    @pytest.mark.parametrize(
        ("for_s", "command"),
        [
            (5.0, "CONTROL DEVICE 01020105"),
            (0.2, "CONTROL DEVICE 01020101"),
            (4.1, "CONTROL DEVICE 01020105"),
            (254.0, "CONTROL DEVICE 010201FE"),
            (300.0, "CONTROL DEVICE 010201FE"),
            (math.inf, "CONTROL DEVICE 010201FF"),
            (None, "CONTROL DEVICE 01020100"),
        ],
    )
    def test_an_output_is_switched_for_whole_seconds(self, for_s: float | None, command: str) -> None:
        assert replies.control_output(2, for_s, auxiliary=False) == command

    def test_commands_have_a_line_each(self) -> None:
        assert replies.commands([("1", "A"), ("2", "B c")]) == "C:1:A\nC:2:B c\n"
        assert replies.commands([]) == "OK"

    def test_weekly_hours_as_in_the_makers_example(self) -> None:
        week = [[], [(510, 721)], [], [], [], [], [(0, 1440)]]
        fields = dict(part.split("=") for part in replies.access_time_zone(2, week).split("\t"))

        assert int(fields["MonTime1"]) == 0x33E04B0
        assert int(fields["SatTime1"]) == 2359
        assert len(fields) == 1 + 10 * 3
        assert fields["SunTime1"] == fields["Hol1Time1"] == "0"

    def test_an_attendance_terminals_hours_close_a_day_by_an_end_before_the_start(self) -> None:
        text = replies.attendance_time_zone(3, [[], [(540, 1080)], [], [], [], [], []])

        assert text.startswith("UID=3\tSunStart=2357\tSunEnd=2356\tMonStart=0900\tMonEnd=1759\tTuesStart=2357")

    def test_a_user_has_no_name(self) -> None:
        since, until = local(2024, 1, 1, 8), local(2024, 6, 1, 12, 0, 1)
        exact = replies.access_user(7, 99, since, until, to_the_second=True)
        dates = replies.access_user(7, 99, since, None, to_the_second=False)

        assert f"StartTime={encode_time(since)}\tEndTime={encode_time(until)}\tName=\t" in exact
        assert "StartTime=20240101\tEndTime=0\t" in dates
        assert "TZ=0001000200050000\tStartDatetime=2024-01-01T08:00:00\tEndDatetime=\tExpires=1" in (
            replies.attendance_user(7, 99, [2, 5], since, None)
        )

    def test_a_device_that_asks_gets_its_record_back_with_the_verdict(self) -> None:
        record = "time=2026-11-23 08:00:00\tpin=7\tcardno=99\taddrtype=2\teventaddr=1\tevent=0"
        opening = replies.control_output(1, 3.0, auxiliary=False)

        assert replies.verdict(replies.Auth.SUCCEED, record, opening) == (
            f"AUTH=SUCCEED\r\n{record}\r\nCONTROL DEVICE 01010103\r\n"
        )
        assert replies.verdict(replies.Auth.FAILED, record) == f"AUTH=FAILED\r\n{record}\r\n"
        assert replies.verdict(replies.Auth.TIMEOUT, "") == "AUTH=TIMEOUT\r\n"
        assert parse_request("POST", "/iclock/cdata?SN=1&AuthType=device").asks
        assert not parse_request("GET", "/iclock/cdata?SN=1&AuthType=device").asks
        assert not parse_request("POST", "/iclock/cdata?SN=1&table=rtlog").asks
        assert not parse_request("POST", "/iclock/cdata?SN=1&table=biodata&AuthType=device").asks

    def test_each_door_is_a_bit(self) -> None:
        assert replies.access_right(7, 2, {1, 3}) == "Pin=7\tAuthorizeTimezoneId=2\tAuthorizeDoorId=5"

    def test_the_time_is_utc_with_the_zones_offset(self) -> None:
        now = datetime(2024, 1, 1, 0, 30, tzinfo=UTC)
        text = replies.server_time(now.astimezone(ZoneInfo("Asia/Shanghai")))

        assert text == f"DateTime={encode_time(local(2024, 1, 1, 0, 30))},ServerTZ=+0800"
