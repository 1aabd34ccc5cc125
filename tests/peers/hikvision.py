"""A Hikvision door terminal for tests: a real HTTP server that speaks ISAPI, written from the protocol.

Digest authentication (RFC 7616 with MD5, `qop=auth`, strictly rising nonce counts), the endless `alertStream`, the
log's search, users, cards, plans, remote control, and event hosts to which it sends by itself. Shares no code with
ours.
"""

import hashlib
import http.client
import json
import os
import re
import ssl
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

REALM = "DS-K1T671"
ZONE = ZoneInfo("Asia/Shanghai")
NS = "{http://www.isapi.org/ver20/XMLSchema}"
JPEG = b"\xff\xd8\xff\xe0PICTURE-OF-A-FACE" + bytes(range(256)) * 8 + b"\xff\xd9"


Answer = tuple[int, str, bytes]


@dataclass
class Stream:
    """One open alertStream."""

    connection: Any
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def send(self, data: bytes) -> None:
        with self.lock, suppress(OSError, ValueError):
            self.connection.sendall(data)

    def cut(self) -> None:
        self.ended.set()
        with suppress(OSError):
            self.connection.shutdown(2)


class FakeTerminal:
    """One terminal; what it holds outlives `stop` and `start`, as a device's flash does a restart."""

    def __init__(self, username: str = "gatehouse", password: str = "A-long-1") -> None:
        self.username, self.password = username, password
        self.serial_number = "DS-K1T671M20260101V030300ENA12345678"
        self.log: list[dict[str, Any]] = []
        self.next_serial = 1
        self.users: dict[str, dict[str, Any]] = {}
        self.cards: dict[str, str] = {}
        self.week_plans: dict[int, dict[str, Any]] = {}
        self.templates: dict[int, dict[str, Any]] = {}
        self.commands: list[tuple[int, str]] = []
        self.hosts: dict[int, dict[str, str]] = {}
        self.requests: list[tuple[str, str, bytes]] = []
        self.contacts = [0, 0]
        self.open_s = {1: 5, 2: 5}
        self.door_params_sent: list[tuple[int, dict[str, str]]] = []
        self.losing_answers: tuple[str, ...] = ()
        """Of requests with one of these in their path: done, and the connection closed instead of an answer."""
        self.refuses_settings = False
        self.keeps_open_duration = False
        """It answers OK to a new one, and goes on with the old."""
        self.searches_by_number = True
        self.refusing: dict[str, tuple[int, str]] = {}
        self.answering: dict[str, bytes] = {}
        self.unauthorised = 0
        self.push_answers: list[int] = []
        self.stalling = threading.Event()
        self.stream_type = "multipart/mixed; boundary=MIME_boundary"
        self.streams: list[Stream] = []
        self._nonces: dict[str, int] = {}
        self._lock = threading.RLock()
        self._server: _Server | None = None
        self.port = 0
        self.tls: ssl.SSLContext | None = None

    def start(self) -> None:
        terminal = self

        class Handler(_Handler):
            device = terminal

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self._server.tls = self.tls
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_all()
            self._server = None
        self.cut_streams()

    def use_tls(self, certificate: Path, key: Path) -> None:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)

    # What happens at the door

    def happen(
        self,
        minor: int,
        major: int = 5,
        *,
        told: bool = True,
        spelling: str = "json",
        picture: bytes | None = None,
        ago: timedelta = timedelta(),
        door: int = 1,
        **fields: Any,
    ) -> dict[str, Any]:
        """Something is logged, and (`told`) sent to whoever listens."""
        with self._lock:
            at = (datetime.now(ZONE) - ago).isoformat(timespec="seconds")
            entry = {"major": major, "minor": minor, "time": at, "doorNo": door, "serialNo": self.next_serial, **fields}
            self.next_serial += 1
            self.log.append(entry)
        if told:
            self.tell(entry, spelling, picture)
        return entry

    def tell(
        self, entry: dict[str, Any], spelling: str = "json", picture: bytes | None = None, current: bool = True
    ) -> None:
        kind, message = self._alert(entry, spelling, current)
        for stream in list(self.streams):
            stream.send(part(kind, message) + (part("image/jpeg", picture) if picture else b""))
        for slot in list(self.hosts):
            self.push(slot, kind, message, picture)

    def heartbeat(self) -> None:
        alert = (
            '<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">'
            "<eventType>videoloss</eventType><eventState>inactive</eventState></EventNotificationAlert>"
        )
        for stream in list(self.streams):
            stream.send(part("application/xml", alert.encode()))

    def send_raw(self, data: bytes) -> None:
        for stream in list(self.streams):
            stream.send(data)

    def cut_streams(self) -> None:
        with self._lock:
            streams, self.streams = self.streams, []
        for stream in streams:
            stream.cut()

    def begin_log_anew(self) -> None:
        with self._lock:
            self.log.clear()
            self.next_serial = 1

    def reset(self) -> None:
        """As it left the factory, but for its password."""
        self.begin_log_anew()
        for held in (self.users, self.cards, self.week_plans, self.templates):
            held.clear()

    def push(self, slot: int, kind: str, message: bytes, picture: bytes | None) -> None:
        """Send an event to a host, as one JSON body or as a form with its picture."""
        host = self.hosts[slot]
        body, content_type = message, kind
        if picture:
            content_type = "multipart/form-data; boundary=MIME_boundary"
            body = (
                b'--MIME_boundary\r\nContent-Disposition: form-data; name="event_log"\r\nContent-Type: '
                + kind.encode()
                + b"\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(message), message)
                + b'--MIME_boundary\r\nContent-Disposition: form-data; name="Picture"; filename="Picture.jpg"\r\n'
                + b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(picture), picture)
                + b"--MIME_boundary--\r\n"
            )
        connection = http.client.HTTPConnection(host["ipAddress"], int(host["portNo"]), timeout=5)
        try:
            connection.request("POST", host["url"], body, {"Content-Type": content_type})
            self.push_answers.append(connection.getresponse().status)
        except OSError:
            self.push_answers.append(0)
        finally:
            connection.close()

    def _alert(self, entry: dict[str, Any], spelling: str, current: bool) -> tuple[str, bytes]:
        inner = {key: value for key, value in entry.items() if key not in ("major", "minor", "time")}
        inner = {
            "deviceName": "Access Controller",
            "majorEventType": entry["major"],
            "subEventType": entry["minor"],
            "currentEvent": current,
            **inner,
        }
        outer = {"ipAddress": "127.0.0.1", "portNo": 80, "dateTime": entry["time"], "eventState": "active"}
        if spelling == "json":
            alert = {**outer, "eventType": "AccessControllerEvent", "AccessControllerEvent": inner}
            return "application/json", json.dumps(alert, indent="\t").encode()
        lines = "".join(f"<{key}>{str(value).lower()}</{key}>\n" for key, value in inner.items())
        alert = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">\n'
            f"<dateTime>{entry['time']}</dateTime>\n<eventType>AccessControllerEvent</eventType>\n"
            f"<AccessControllerEvent>\n{lines}</AccessControllerEvent>\n</EventNotificationAlert>\n"
        )
        return "application/xml", alert.encode()

    # Digest authentication

    def challenge(self) -> str:
        nonce = os.urandom(16).hex()
        self._nonces[nonce] = 0
        return f'Digest qop="auth", realm="{REALM}", nonce="{nonce}", opaque="", algorithm=MD5, stale="false"'

    def forget_nonces(self) -> None:
        self._nonces.clear()

    def is_authorised(self, method: str, target: str, header: str) -> bool:
        if not header.startswith("Digest "):
            return False
        values = {key: plain or quoted for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', header)}
        with self._lock:
            count = int(values.get("nc", "0"), 16)
            if values.get("nonce") not in self._nonces or count <= self._nonces[values["nonce"]]:
                return False
            self._nonces[values["nonce"]] = count

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret = md5(f"{self.username}:{REALM}:{self.password}")
        asked = md5(f"{method}:{target}")
        wanted = md5(":".join([secret, values["nonce"], values["nc"], values["cnonce"], "auth", asked]))
        return (values.get("username"), values.get("response"), values.get("uri")) == (self.username, wanted, target)

    # The paths

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        with self._lock:
            self.requests.append((method, path, body))
            for prefix, (status, sub_code) in self.refusing.items():
                if path.startswith(prefix):
                    return status, "application/json", _status(4, sub_code)
            for prefix, given in self.answering.items():
                if path.startswith(prefix):
                    return 200, "application/json", given
            return self._routed(method, path.partition("?")[0], body)

    def _routed(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if path == "/ISAPI/System/deviceInfo":
            xml = f'<DeviceInfo version="2.0" xmlns="{NS[1:-1]}"><deviceName>Gate</deviceName>'
            return (
                200,
                "application/xml",
                f"{xml}<serialNumber>{self.serial_number}</serialNumber></DeviceInfo>".encode(),
            )
        if path.startswith("/ISAPI/AccessControl/RemoteControl/door/"):
            command = ET.fromstring(body).findtext(f"{NS}cmd")
            if command not in ("open", "close", "alwaysOpen", "alwaysClose"):
                return 400, "application/xml", _xml_status(6, "badParameters")
            self.commands.append((int(path.rpartition("/")[2]), command))
            return 200, "application/xml", _xml_status(1, "ok")
        if path.startswith("/ISAPI/Event/notification/httpHosts/"):
            host = {element.tag.removeprefix(NS): element.text or "" for element in ET.fromstring(body)}
            self.hosts[int(path.rpartition("/")[2])] = host
            return 200, "application/xml", _xml_status(1, "ok")
        if path.startswith("/ISAPI/AccessControl/Door/param/"):
            return self._door_param(method, int(path.rpartition("/")[2]), body)
        if path == "/ISAPI/AccessControl/AcsWorkStatus":
            fields = {"doorLockStatus": [0, 0], "magneticStatus": self.contacts, "hostAntiDismantleStatus": 0}
            return 200, "application/json", json.dumps({"AcsWorkStatus": fields}).encode()
        if path.startswith("/ISAPI/AccessControl/"):
            given = json.loads(body) if body else {}
            answered = self._access(method, path.removeprefix("/ISAPI/AccessControl/"), given)
            if answered is not None:
                return answered
        return 404, "application/json", _status(4, "notSupport")

    def _door_param(self, method: str, door: int, body: bytes) -> tuple[int, str, bytes]:
        """`XML_DoorParam` of the developer guide: every element optional, passwords write-only."""
        if method == "PUT":
            if self.refuses_settings:
                return 403, "application/xml", _xml_status(4, "lowPrivilege")
            given = {element.tag.removeprefix(NS): element.text or "" for element in ET.fromstring(body)}
            if not 1 <= int(given["openDuration"]) <= 255:
                return 400, "application/xml", _xml_status(6, "badParameters")
            self.door_params_sent.append((door, given))
            if not self.keeps_open_duration:
                self.open_s[door] = int(given["openDuration"])
            return 200, "application/xml", _xml_status(1, "ok")
        xml = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<DoorParam version="2.0" xmlns="{NS[1:-1]}">\n'
            "<doorName>Gate &amp; yard</doorName>\n<magneticType>alwaysClose</magneticType>\n"
            f"<openButtonType>alwaysOpen</openButtonType>\n<openDuration>{self.open_s[door]}</openDuration>\n"
            "<disabledOpenDuration>15</disabledOpenDuration>\n<magneticAlarmTimeout>30</magneticAlarmTimeout>\n"
            "<enableDoorLock>true</enableDoorLock>\n<stressPassword></stressPassword>\n"
            "<useLocalController>false</useLocalController>\n<remoteControlPWStatus>false</remoteControlPWStatus>\n"
            "</DoorParam>\n"
        )
        return 200, "application/xml", xml.encode()

    def _access(self, method: str, path: str, given: dict[str, Any]) -> Answer | None:
        known = {
            ("POST", "AcsEvent"): lambda: self._search(given["AcsEventCond"]),
            ("GET", "UserInfo/Count"): lambda: _ok({"UserInfoCount": {"userNumber": len(self.users)}}),
            ("POST", "UserInfo/Search"): lambda: _ok(self._found_users(given["UserInfoSearchCond"])),
            ("POST", "UserInfo/Record"): lambda: self._write_user(given["UserInfo"], new=True),
            ("PUT", "UserInfo/Modify"): lambda: self._write_user(given["UserInfo"], new=False),
            ("PUT", "UserInfo/Delete"): lambda: self._delete_users(given["UserInfoDelCond"]),
            ("POST", "CardInfo/Record"): lambda: self._write_card(given["CardInfo"]),
            ("PUT", "CardInfo/Delete"): lambda: self._delete_cards(given["CardInfoDelCond"]),
        }
        if (method, path) in known:
            return known[method, path]()
        kind, _, number = path.partition("/")
        if method == "PUT" and kind == "UserRightWeekPlanCfg":
            self.week_plans[int(number)] = given["UserRightWeekPlanCfg"]
            return DONE
        if method == "PUT" and kind == "UserRightPlanTemplate":
            self.templates[int(number)] = given["UserRightPlanTemplate"]
            return DONE
        return None

    def _found_users(self, condition: dict[str, Any]) -> dict[str, Any]:
        start = condition["searchResultPosition"]
        page = list(self.users.values())[start : start + min(30, condition["maxResults"])]
        more = "MORE" if start + len(page) < len(self.users) else "OK"
        return {"UserInfoSearch": {"responseStatusStrg": more, "numOfMatches": len(page), "UserInfo": page}}

    def _write_user(self, user: dict[str, Any], new: bool) -> Answer:
        if (user["employeeNo"] in self.users) is new:
            return _invalid("employeeNoAlreadyExist" if new else "employeeNoNotExist")
        self.users[user["employeeNo"]] = user
        return DONE

    def _delete_users(self, condition: dict[str, Any]) -> Answer:
        for each in condition["EmployeeNoList"]:
            if self.users.pop(each["employeeNo"], None) is None:
                return _invalid("employeeNoNotExist")
            self.cards = {card: owner for card, owner in self.cards.items() if owner != each["employeeNo"]}
        return DONE

    def _write_card(self, card: dict[str, Any]) -> Answer:
        if card["cardNo"] in self.cards:
            return _invalid("cardNoAlreadyExist")
        if card["employeeNo"] not in self.users:
            return _invalid("employeeNoNotExist")
        self.cards[card["cardNo"]] = card["employeeNo"]
        return DONE

    def _delete_cards(self, condition: dict[str, Any]) -> Answer:
        owners = {each["employeeNo"] for each in condition.get("EmployeeNoList", [])}
        cards = {each["cardNo"] for each in condition.get("CardNoList", [])}
        kept = {card: owner for card, owner in self.cards.items() if owner not in owners and card not in cards}
        gone, self.cards = len(self.cards) - len(kept), kept
        return (
            (200, "application/json", _status(1, "ok"))
            if gone
            else (400, "application/json", _status(6, "cardNoNotExist"))
        )

    def _search(self, condition: dict[str, Any]) -> Answer:
        by_number = "beginSerialNo" in condition
        too_much = condition["maxResults"] > 30 or condition.get("endSerialNo", 0) > 3_000_000_000
        if too_much or (by_number and not self.searches_by_number):
            return _invalid("badParameters")
        return _ok(self._found(condition))

    def _found(self, condition: dict[str, Any]) -> dict[str, Any]:
        since = datetime.fromisoformat(condition["startTime"]) if "startTime" in condition else None
        first, last = condition.get("beginSerialNo", 0), condition.get("endSerialNo", 1 << 40)
        matching = [
            entry
            for entry in self.log
            if first <= entry["serialNo"] <= last and (since is None or datetime.fromisoformat(entry["time"]) >= since)
        ]
        start = condition["searchResultPosition"]
        page = matching[start : start + min(30, condition["maxResults"])]
        more = "MORE" if start + len(page) < len(matching) else "OK" if page else "NO MATCH"
        found = {"searchID": condition["searchID"], "totalMatches": len(matching), "responseStatusStrg": more}
        return {"AcsEvent": {**found, "numOfMatches": len(page), "InfoList": page}}


def part(kind: str, body: bytes) -> bytes:
    """One part of the stream."""
    return b"--MIME_boundary\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s\r\n" % (kind.encode(), len(body), body)


def _status(code: int, sub_code: str) -> bytes:
    text = "OK" if code == 1 else "Invalid Content"
    return json.dumps({"statusCode": code, "statusString": text, "subStatusCode": sub_code}).encode()


def _ok(found: dict[str, Any]) -> Answer:
    return 200, "application/json", json.dumps(found).encode()


def _invalid(sub_code: str) -> Answer:
    return 400, "application/json", _status(6, sub_code)


DONE: Answer = (200, "application/json", _status(1, "ok"))


def _xml_status(code: int, sub_code: str) -> bytes:
    inner = f"<statusCode>{code}</statusCode><statusString>x</statusString><subStatusCode>{sub_code}</subStatusCode>"
    return f'<ResponseStatus version="2.0" xmlns="{NS[1:-1]}">{inner}</ResponseStatus>'.encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    tls: ssl.SSLContext | None = None

    def __init__(self, *given: Any) -> None:
        self._open: set[Any] = set()
        super().__init__(*given)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no news."""

    def cut_all(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(2)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    device: FakeTerminal

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.device.is_authorised(self.command, self.path, self.headers.get("Authorization", "")):
            self.device.unauthorised += "Authorization" in self.headers
            self._reply(401, "application/xml", _xml_status(4, "notAuthorized"), self.device.challenge())
            return
        while self.device.stalling.is_set():
            threading.Event().wait(0.02)
        if self.path == "/ISAPI/Event/notification/alertStream" and self.path not in self.device.refusing:
            self._stream()
            return
        answer = self.device.answer(self.command, self.path, body)
        if any(each in self.path for each in self.device.losing_answers):
            self.close_connection = True
            return
        self._reply(*answer)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815

    def _reply(self, status: int, kind: str, body: bytes, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        if status in (301, 302):
            self.send_header("Location", f"http://127.0.0.1:{self.device.port}/elsewhere")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        stream = Stream(self.connection)
        with stream.lock:  # an event from now on comes after the headers
            self.device.streams.append(stream)
            self.send_response(200)
            self.send_header("Content-Type", self.device.stream_type)
            self.send_header("Connection", "close")
            self.end_headers()
        stream.ended.wait()
        self.close_connection = True


@contextmanager
def running(terminal: FakeTerminal) -> Iterator[FakeTerminal]:
    """The terminal, answering."""
    terminal.start()
    try:
        yield terminal
    finally:
        terminal.stop()
