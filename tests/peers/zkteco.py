"""ZKTeco devices, written from the makers' documents and not from our parser: HTTP clients that register, poll, carry
out commands, and upload what happened, again and again until the answer is exactly the right one.

`AccessController` speaks Security PUSH 3.x, `AttendanceTerminal` Attendance PUSH 2.x. Each has a thread of its own.
"""

import hashlib
import http.client
import re
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

POLL_S = 0.02
ERROR_DELAY_S = 0.05
TIMEOUT_S = 30.0


@dataclass
class Upload:
    """Something that the device holds until the server has acknowledged it."""

    query: dict[str, str]
    body: bytes
    acknowledged: Callable[[str], bool]
    tries: int = 0


class NotAdmitted(Exception):
    """The server answered with another status than 200."""


class PushClient(ABC):
    """What both kinds of device do alike.

    Args:
        tls: how to check the server's certificate; None: plain HTTP.
    """

    def __init__(self, port: int, serial: str, tls: ssl.SSLContext | None = None) -> None:
        self.serial = serial
        self.requests: list[str] = []
        self.refusals: list[int] = []
        self.commands: list[str] = []
        self.refuse: dict[str, int] = {}
        """Return code by the start of a command's text."""
        self.answers = True
        """Whether results of commands are sent."""
        self.polls = True
        self.poll_s = POLL_S
        self.last_empty_poll_s: float | None = None
        """When a poll was last answered with no command, on the monotonic clock."""
        self.registered = threading.Event()
        self._port, self._tls = port, tls
        self._connection: http.client.HTTPConnection | None = None
        self._uploads: list[Upload] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.switch_off()

    def switch_off(self) -> None:
        self._ended.set()
        self._thread.join(TIMEOUT_S + 1)
        assert not self._thread.is_alive()
        self._hang_up()

    @property
    def waiting(self) -> list[Upload]:
        """What is not acknowledged yet."""
        with self._lock:
            return list(self._uploads)

    def restart(self) -> None:
        """Begin anew with the handshake, as after a power cut; the records survive."""
        self.registered.clear()

    def upload(self, upload: Upload) -> Upload:
        with self._lock:
            self._uploads.append(upload)
        return upload

    def request(self, method: str, path: str, query: dict[str, str], body: bytes = b"") -> str:
        """One request on the kept connection.

        Raises:
            OSError, http.client.HTTPException: if the server is not there.
            NotAdmitted: if it refuses.
        """
        if self._connection is None:
            self._connection = self._connected()
        target = f"/iclock/{path}?{urlencode({'SN': self.serial, **query})}"
        self.requests.append(f"{method} {target}")
        headers = {"User-Agent": "iClock Proxy/1.09", "Connection": "starting", **self._headers()}
        self._connection.request(method, target, body or None, headers)
        reply = self._connection.getresponse()
        text = reply.read().decode()
        assert reply.getheader("Date"), "devices set their clock by it"
        if reply.status != 200:
            self.refusals.append(reply.status)
            self._hang_up()
            raise NotAdmitted(str(reply.status))
        return text

    def _connected(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=TIMEOUT_S, context=self._tls)

    def _headers(self) -> dict[str, str]:
        return {}

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                if not self.registered.is_set():
                    self._handshake()
                    self.registered.set()
                self._send_uploads()
                if self.polls:
                    self._poll()
            except (OSError, http.client.HTTPException, NotAdmitted):
                self._hang_up()
                self._ended.wait(ERROR_DELAY_S)
            self._ended.wait(self.poll_s)

    @abstractmethod
    def _handshake(self) -> None:
        """Say who it is, in its dialect."""

    def _send_uploads(self) -> None:
        for upload in self.waiting:
            upload.tries += 1
            answer = self.request("POST", "cdata", upload.query, upload.body)
            if upload.acknowledged(answer):
                with self._lock:
                    self._uploads.remove(upload)

    def _poll(self) -> None:
        answer = self.request("GET", "getrequest", {})
        if answer == "OK":
            self.last_empty_poll_s = time.monotonic()
            return
        results = []
        for line in answer.split("\n"):
            if not line:
                continue
            number, text = re.fullmatch(r"C:([A-Za-z0-9]{1,16}):(.+)", line).groups()
            self.commands.append(text)
            refused = [code for start, code in self.refuse.items() if text.startswith(start)]
            value = refused[0] if refused else self._carry_out(text)
            results.append(f"ID={number}&Return={value}&CMD={' '.join(text.split(' ')[:2])}")
        if self.answers:
            assert self.request("POST", "devicecmd", {}, "\n".join(results).encode()) == "OK"

    @abstractmethod
    def _carry_out(self, text: str) -> int:
        """Do what a command says; its return code."""


@dataclass
class Lists:
    """A device's tables."""

    users: dict[int, dict[str, str]] = field(default_factory=dict)
    rights: set[tuple[int, int, int]] = field(default_factory=set)
    """(pin, time zone, door bits)."""
    hours: dict[int, dict[str, str]] = field(default_factory=dict)


class AccessController(PushClient):
    """A board of some doors (Security PUSH). Its events are lines of `rtlog`."""

    def __init__(
        self,
        port: int,
        serial: str = "3383154200002",
        doors: int = 4,
        device_type: str = "acc",
        exact_dates: bool = True,
        tls: ssl.SSLContext | None = None,
        lists: Lists | None = None,
    ) -> None:
        super().__init__(port, serial, tls)
        self.lists = lists or Lists()
        self.open_s: dict[int, float] = {}
        """By door: seconds of the last opening; infinity until further notice; absent: shut."""
        self.auxiliary: dict[int, float] = {}
        self.configuration: dict[str, str] = {}
        self._doors, self._type, self._exact = doors, device_type, exact_dates
        self._registry_code = ""
        self._index = 0

    def happen(
        self, at: datetime, event: int, pin: str = "0", card: str = "0", door: int = 1, verify: str = "4"
    ) -> Upload:
        """Record an event and upload it."""
        self._index += 1
        return self.upload_events(
            f"time={at:%Y-%m-%d %H:%M:%S}\tpin={pin}\tcardno={card}\tsitecode=0\tlinkid=0\teventaddr={door}\t"
            f"event={event}\tinoutstatus=0\tverifytype={verify}\tindex={self._index}"
        )

    def ask(self, at: datetime, card: str, door: int = 1, pin: str = "0", event: int = 0, verify: str = "4") -> str:
        """Ask the server before opening (4.8, chapter 13), do what it answers, and record that. Its verdict."""
        record = (
            f"time={at:%Y-%m-%d %H:%M:%S}\tpin={pin}\tcardno={card}\taddrtype=2\teventaddr={door}\tevent={event}\t"
            f"inoutstatus=0\tverifytype={verify}"
        )
        connection = self._connected()
        try:
            target = f"/iclock/cdata?SN={self.serial}&AuthType=device"
            connection.request("POST", target, record.encode(), self._headers())
            told = connection.getresponse().read().decode()
        finally:
            connection.close()
        first, repeated, *rest, last = told.split("\r\n")
        assert (repeated, last) == (record, ""), "the record as it was, and an end of line"
        verdict = re.fullmatch(r"AUTH=(SUCCEED|FAILED|TIMEOUT)", first)[1]
        assert len(rest) <= (verdict == "SUCCEED"), "a command for a granted one alone"
        for command in rest:
            assert self._carry_out(command) == 0
        self.happen(at, {"SUCCEED": 222, "FAILED": 44, "TIMEOUT": 45}[verdict], pin, card, door, verify)
        return verdict

    def upload_events(self, *lines: str) -> Upload:
        body = "\r\n".join(lines).encode()
        return self.upload(Upload({"table": "rtlog"}, body, lambda answer: answer == "OK"))

    def upload_states(self, at: datetime, sensor: str, alarm: str = "0000000000000000") -> Upload:
        line = f"time={at:%Y-%m-%d %H:%M:%S}\tsensor={sensor}\trelay=00\talarm={alarm}"
        return self.upload(Upload({"table": "rtstate"}, line.encode(), lambda answer: answer == "OK"))

    def upload_table(self, name: str, lines: list[bytes]) -> Upload:
        """Table data, which the server must acknowledge by name and count."""
        query = {"table": "tabledata", "tablename": name, "count": str(len(lines))}
        wanted = f"{name}={len(lines)}"
        return self.upload(Upload(query, b"\n".join(lines), lambda answer: answer == wanted))

    def _headers(self) -> dict[str, str]:
        if not self._registry_code:
            return {}
        text = self._registry_code + self.serial + self.configuration.get("SessionID", "")
        return {"Cookie": f"token={hashlib.md5(text.encode()).hexdigest()}"}  # as the protocol has it

    def _handshake(self) -> None:
        query = {"pushver": "3.0.1", "options": "all"}
        if self._type:
            query["DeviceType"] = self._type
        answer = self.request("GET", "cdata", query)
        told = _options(answer)
        if told.get("registry") == "ok":
            assert told["RegistryCode"]
            self._registry_code, self.configuration = told["RegistryCode"], told
            return
        assert answer == "OK"
        parameters = (
            f"DeviceType={self._type or 'acc'},~DeviceName=C3-400,FirmVer=AC Ver 5.7.8,PushVersion=Ver 2.0.22,"
            f"MaxPackageSize=2048000,LockCount={self._doors},ReaderCount={self._doors},~MaxUserCount=300,"
            f"DateFmtFunOn={int(self._exact)}"
        )
        code = self.request("POST", "registry", {}, parameters.encode())
        self._registry_code = re.fullmatch(r"RegistryCode=(\w{1,32})", code)[1]
        self.configuration = _options(self.request("POST", "push", {}))
        assert self.configuration["SessionID"]

    def _carry_out(self, text: str) -> int:
        control = re.fullmatch(r"CONTROL DEVICE 01(..)(01|02)(..)", text)
        if control:
            number, length = int(control[1], 16), int(control[3], 16)
            outputs = self.open_s if control[2] == "01" else self.auxiliary
            outputs.pop(number, None)
            if length:
                outputs[number] = float("inf") if length == 255 else length
            return 0
        _, verb, table, record = text.split(" ", 3)
        return {"UPDATE": self._update, "DELETE": self._delete}[verb](table, record)

    def _update(self, table: str, record: str) -> int:
        fields = dict(part.split("=", 1) for part in record.split("\t"))
        if table == "user":
            same_card = [
                pin
                for pin, user in self.lists.users.items()
                if user["CardNo"] == fields["CardNo"] and pin != int(fields["Pin"])
            ]
            assert not same_card, "a card is one user's"
            self.lists.users[int(fields["Pin"])] = fields
        elif table == "timezone":
            assert len(fields) == 1 + 10 * 3
            self.lists.hours[int(fields["TimezoneId"])] = fields
        elif table == "userauthorize":
            right = (int(fields["Pin"]), int(fields["AuthorizeTimezoneId"]), int(fields["AuthorizeDoorId"]))
            assert right[0] in self.lists.users, "rights of nobody"
            assert right[1] in self.lists.hours, "rights at no hours"
            self.lists.rights.add(right)
        else:
            return -629
        return 0

    def _delete(self, table: str, record: str) -> int:
        if (table, record) == ("userauthorize", "*"):
            self.lists.rights.clear()
            return 0
        name, _, number = record.partition("=")
        if table == "userauthorize" and name == "Pin":
            self.lists.rights = {right for right in self.lists.rights if right[0] != int(number)}
        elif table == "user" and name == "Pin":
            self.lists.users.pop(int(number), None)
        elif table == "timezone" and name == "TimezoneId":
            self.lists.hours.pop(int(number), None)
        else:
            return -629
        return 0


class AttendanceTerminal(PushClient):
    """A terminal with one lock (Attendance PUSH)."""

    def __init__(self, port: int, serial: str = "0316144680030") -> None:
        super().__init__(port, serial)
        self.lists = Lists()
        self.openings = 0
        self.configuration: dict[str, str] = {}

    def verify(self, at: datetime, pin: str, way: int = 15, tail: str = "\t0\t\t0") -> Upload:
        """Record a verification and upload it."""
        return self.upload_records("ATTLOG", [f"{pin}\t{at:%Y-%m-%d %H:%M:%S}\t0\t{way}{tail}".encode()])

    def upload_records(self, table: str, lines: list[bytes]) -> Upload:
        """A table whose answer is OK, or OK with the very count."""
        right = ("OK", f"OK:{len(lines)}", f"OK: {len(lines)}")
        query = {"table": table, "Stamp": "740925"}
        return self.upload(Upload(query, b"\n".join(lines) + b"\n", lambda answer: answer in right))

    def _handshake(self) -> None:
        answer = self.request("GET", "cdata", {"options": "all", "pushver": "2.2.14", "language": "83"})
        first, _, rest = answer.partition("\n")
        assert first == f"GET OPTION FROM: {self.serial}"
        self.configuration = _options(rest)

    def _carry_out(self, text: str) -> int:
        if text == "AC_UNLOCK":
            self.openings += 1
            return 0
        _, verb, table, record = text.split(" ", 3)
        fields = dict(part.split("=", 1) for part in record.split("\t"))
        if (verb, table) == ("UPDATE", "USERINFO"):
            self.lists.users[int(fields["PIN"])] = fields
        elif (verb, table) == ("DELETE", "USERINFO"):
            return 0 if self.lists.users.pop(int(fields["PIN"]), None) else -10
        elif (verb, table) == ("UPDATE", "AccTimeZone"):
            self.lists.hours[int(fields["UID"])] = fields
        else:
            return -1002
        return 0


def _options(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
