"""What the gateway answers to ZKTeco devices: handshakes, acknowledgements, and commands. Sources: see `zk_push`;
of background verification Security PUSH 4.8 of 2024-01-07.

The answer to an upload must be exact: a device that misses its own count sends the same records for ever. Both
handshakes name a protocol version before the vendor's encryption (access 3.1.1, attendance 2.4.0), whose library is not
public; use TLS instead. No picture and no template is asked for.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from protocols.zk_push_records import encode_time

OK = "OK"

MAX_OPEN_S = 254
"""The longest opening that a control command can name; 255 is until further notice."""

INTERVALS_PER_TIME_ZONE = 3
"""An access device's time zone has three intervals a day (9.1.1); an attendance terminal's has one (10.1.15)."""

_UNTIL_FURTHER_NOTICE = 255
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ATTENDANCE_DAYS = ("Sun", "Mon", "Tues", "Wed", "Thurs", "Fri", "Sat")
_CLOSED_DAY = (2357, 2356)
"""A start after its end closes the day."""

Day = Sequence[tuple[int, int]]
"""A day's intervals: first minute, end minute (exclusive)."""


def access_options(registry_code: str, session: str, poll_s: int, *, registered: bool) -> str:
    """The configuration of an access device (4.5), or the whole handshake of one that is registered (4.1)."""
    head = ["registry=ok", f"RegistryCode={registry_code}"] if registered else []
    body = [
        "ServerVersion=3.0.1",
        "ServerName=ADMS",
        "PushProtVer=3.0.1",
        "PushVersion=3.0.1",
        "ErrorDelay=30",
        f"RequestDelay={poll_s}",
        "TransTimes=00:00;14:00",
        "TransInterval=1",
        "TransTables=User Transaction",
        "Realtime=1",
        f"SessionID={session}",
        "TimeoutSec=10",
        "BioPhotoFun=0",
        "BioDataFun=0",
    ]
    return "\n".join([*head, *body, ""])


def registered(registry_code: str) -> str:
    """The answer to a registration (4.4)."""
    return f"RegistryCode={registry_code}"


def attendance_options(serial: str, stamps: Mapping[str, str], poll_s: int, utc_offset_minutes: int) -> str:
    """The handshake of an attendance terminal (3.2).

    Args:
        stamps: by table, the last that the device named.
        utc_offset_minutes: whole hours are told as hours, anything else as minutes.
    """
    hours, odd = divmod(utc_offset_minutes, 60)
    return "\n".join(
        [
            f"GET OPTION FROM: {serial}",
            f"ATTLOGStamp={stamps.get('attlog', '9999')}",
            f"OPERLOGStamp={stamps.get('operlog', '9999')}",
            "ATTPHOTOStamp=None",
            "ErrorDelay=30",
            f"Delay={poll_s}",
            "TransTimes=00:00;14:05",
            "TransInterval=1",
            "TransFlag=TransData AttLog\tOpLog",
            f"TimeZone={utc_offset_minutes if odd else hours}",
            "Realtime=1",
            "Encrypt=None",
            "ServerVer=2.2.14",
            "PushProtVer=2.2.14",
            "SupportPing=1",
            "",
        ]
    )


def counted(table_name: str, count: int) -> str:
    """The acknowledgement of `table=tabledata` and of query data."""
    return f"{table_name}={count}"


def ok_counted(count: int) -> str:
    """The acknowledgement of ATTLOG and OPERLOG."""
    return f"OK:{count}"


def server_time(now: datetime) -> str:
    """The answer to `rtdata?type=time`: UTC, and the zone's offset.

    Args:
        now: aware, in the device's zone.
    """
    return f"DateTime={encode_time(now.astimezone(UTC))},ServerTZ={now:%z}"


def commands(numbered: Iterable[tuple[str, str]]) -> str:
    """The answer to `getrequest` (8.1): each command on a line of its own, or OK."""
    return "".join(f"C:{number}:{text}\n" for number, text in numbered) or OK


def control_output(number: int, for_s: float | None, *, auxiliary: bool) -> str:
    """Switch a door's lock, or an auxiliary output, on for so many seconds (9.3); None is off, infinity is until
    further notice, and no opening is longer than `MAX_OPEN_S`."""
    if for_s is None:
        code = 0
    elif math.isinf(for_s):
        code = _UNTIL_FURTHER_NOTICE
    else:
        code = min(max(math.ceil(for_s), 1), MAX_OPEN_S)
    return f"CONTROL DEVICE 01{number:02X}{2 if auxiliary else 1:02X}{code:02X}"


class Auth(StrEnum):
    """What the server says to a device that asks (4.8: 13)."""

    SUCCEED = "SUCCEED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    """The server has no verdict; the device goes by its own setting."""


def verdict(auth: Auth, record: str, control: str = "") -> str:
    """The answer to a device that asks: the verdict, its own record as it came, and a command for a granted one."""
    return "".join(f"{line}\r\n" for line in (f"AUTH={auth}", record, control) if line)


UNLOCK = "AC_UNLOCK"
"""Open an attendance terminal's lock for the time that is set in it (10.9)."""

FORGET_ALL_RIGHTS = "DATA DELETE userauthorize *"


def access_user(pin: int, card: int, since: datetime | None, until: datetime | None, *, to_the_second: bool) -> str:
    """A user of an access device (9.1.1), without a name and without a password.

    Args:
        since: naive, by the device's clock, as `until`.
        to_the_second: the device has DateFmtFunOn=1; otherwise it knows dates only.
    """
    start, end = (0 if time is None else _bound(time, to_the_second) for time in (since, until))
    return f"CardNo={card}\tPin={pin}\tPassword=\tGroup=0\tStartTime={start}\tEndTime={end}\tName=\tPrivilege=0"


def _bound(time: datetime, to_the_second: bool) -> int:
    return encode_time(time) if to_the_second else int(f"{time:%Y%m%d}")


def access_right(pin: int, time_zone: int, doors: Iterable[int]) -> str:
    """A user's right at some doors (9.1.1); each door is one bit."""
    bits = 0
    for door in doors:
        bits |= 1 << door - 1
    return f"Pin={pin}\tAuthorizeTimezoneId={time_zone}\tAuthorizeDoorId={bits}"


def access_time_zone(number: int, week: Sequence[Day]) -> str:
    """Weekly hours of an access device (9.1.1), Sunday first, at most three intervals a day; closed on its holidays."""
    fields = [f"TimezoneId={number}"]
    for name, day in zip(_DAYS, week, strict=True):
        fields += _access_day(name, day)
    for holiday in ("Hol1", "Hol2", "Hol3"):
        fields += _access_day(holiday, ())
    return "\t".join(fields)


def _access_day(name: str, day: Day) -> list[str]:
    values = [_clock(since) << 16 | _clock(end - 1) for since, end in day]
    values += [0] * (INTERVALS_PER_TIME_ZONE - len(values))
    return [f"{name}Time{place}={value}" for place, value in enumerate(values, 1)]


def attendance_user(
    pin: int, card: int, time_zones: Sequence[int], since: datetime | None, until: datetime | None
) -> str:
    """A user of an attendance terminal (10.1.1) with at most three personal time zones."""
    own = [f"{number:04d}" for number in (*time_zones, 0, 0, 0)[:3]]
    bounds = "\t".join(
        f"{name}={'' if time is None else time.isoformat(timespec='seconds')}"
        for name, time in (("StartDatetime", since), ("EndDatetime", until))
    )
    expires = int(since is not None or until is not None)
    return f"PIN={pin}\tName=\tPri=0\tPasswd=\tCard={card}\tGrp=1\tTZ=0001{''.join(own)}\t{bounds}\tExpires={expires}"


def attendance_time_zone(number: int, week: Sequence[Day]) -> str:
    """Weekly hours of an attendance terminal (10.1.15), Sunday first, at most one interval a day."""
    fields = [f"UID={number}"]
    for name, day in zip(_ATTENDANCE_DAYS, week, strict=True):
        start, end = _CLOSED_DAY if not day else (_clock(day[0][0]), _clock(day[0][1] - 1))
        fields += [f"{name}Start={start:04d}", f"{name}End={end:04d}"]
    return "\t".join(fields)


def _clock(minute: int) -> int:
    """HHMM as a number. An end is told as the last minute within, since devices include it: 23:59 ends a whole day."""
    return minute // 60 * 100 + minute % 60
