"""A made-up ONVIF intercom camera for tests: HTTP and SOAP over a real socket, written from the ONVIF Core and Device
IO specifications and the UsernameToken profile; it shares no code with `protocols.onvif`.

It checks WS-Security by its own clock (a nonce counts once, 5 s of skew are allowed), or asks for HTTP digest instead.
Like cameras behind a router it advertises an address that nobody can reach.
"""

import base64
import hashlib
import os
import re
import ssl
import threading
import time
import xml.etree.ElementTree as Tree
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

USER, PASSWORD = "gatehouse", "the door's own password"
NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "wsse": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "wsu": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
    "wsa": "http://www.w3.org/2005/08/addressing",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "tmd": "http://www.onvif.org/ver10/deviceIO/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "ter": "http://www.onvif.org/ver10/error",
    "tns1": "http://www.onvif.org/ver10/topics",
    "mine": "urn:example:subscriptions",
}
UNREACHABLE = "http://198.51.100.7:8899"
PUBLIC = ("GetSystemDateAndTime", "GetServices")
REALM = "intercom"


class Fault(Exception):
    """Answered as a SOAP fault."""

    def __init__(self, subcode: str, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.subcode, self.reason, self.status = subcode, reason, status


class HangUp(Exception):
    """Answered by closing the connection."""


@dataclass
class Relay:
    """A relay output; `switched` is every state it was told or fell back to."""

    mode: str = "Bistable"
    delay: str = "PT0S"
    active: bool = False
    switched: list[bool] = field(default_factory=list)
    settings_are_fixed: bool = False
    timer: threading.Timer | None = None


@dataclass
class _Subscription:
    ends_s: float
    messages: deque[str] = field(default_factory=deque)


class OnvifPeer:
    """One camera. Use as a context manager; `stop` and `start` are a power cut, on the same port.

    Attributes:
        places: its services, by prefix.
        clock_offset: how far its clock is from ours.
        http_digest: asks for HTTP digest and passes WS-Security over.
        topic, token_name, state_name: how it spells the events of its inputs.
        grants_s: the longest life that it grants a subscription.
        tells_first_states: whether a new subscription begins with how everything stands.
        hangs_up: whether it closes the connection of a pull that has nothing to tell.
        holds_pulls: whether it waits with the answer to a pull that has nothing to tell.
    """

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate, key)
        self.relays = {"relay-1": Relay(), "relay-2": Relay()}
        self.inputs = {"in-1": False, "in-2": False}
        self.places = {"tds": "device_service", "tmd": "deviceio", "tev": "events"}
        self.clock_offset = timedelta(0)
        self.http_digest = False
        self.grants_s: float | None = None
        self.tells_first_states = True
        self.holds_pulls = True
        self.hangs_up = False
        self.topic, self.token_name, self.state_name = "tns1:Device/Trigger/DigitalInput", "InputToken", "LogicalState"
        self.asked: list[str] = []
        self.refused: list[str] = []
        self._changed = threading.Condition()
        self._subscriptions: dict[str, _Subscription] = {}
        self._nonces: set[str] = set()
        self._http_nonce = os.urandom(8).hex()
        self._port = 0
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        return self._port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, with no subscription and every relay at rest."""
        for relay in self.relays.values():
            relay.active = False
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.peer = self
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        """Gone, with its subscriptions."""
        if self._server is None:
            return
        for relay in self.relays.values():
            if relay.timer is not None:
                relay.timer.cancel()
        self._server.has_power = False  # what is being answered is hung up on
        with self._changed:
            self._subscriptions.clear()
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None

    def set_input(self, token: str, active: bool) -> None:
        """Somebody opens a door or presses a button."""
        self.inputs[token] = active
        self._emit(self._input_message(token, "Changed"))

    def switch_relay(self, token: str) -> None:
        """The intercom's own button lets the door go."""
        self.relays[token].active = True
        self._emit(_message("tns1:Device/Trigger/Relay", "RelayToken", token, "LogicalState", "active", "Changed"))

    def emit_motion(self) -> None:
        """Something that has nothing to do with a door."""
        self.emit("tns1:RuleEngine/CellMotionDetector/Motion", "Rule", "r", "IsMotion", "true")

    def emit(self, topic: str, source: str, token: str, data: str, state: str, operation: str = "Changed") -> None:
        """Any event with one source and one value."""
        self._emit(_message(topic, source, token, data, state, operation))

    def drop_subscriptions(self) -> None:
        """Forget every pull point, as after a restart of its event service."""
        with self._changed:
            self._subscriptions.clear()
            self._changed.notify_all()

    @property
    def subscriptions(self) -> int:
        return len(self._subscriptions)

    def _emit(self, message: str) -> None:
        with self._changed:
            for subscription in self._subscriptions.values():
                subscription.messages.append(message)
            self._changed.notify_all()

    def _input_message(self, token: str, operation: str) -> str:
        state = "true" if self.inputs[token] else "false"
        return _message(self.topic, self.token_name, token, self.state_name, state, operation)

    # what it is asked

    def answer(self, path: str, data: bytes, authorization: str) -> str:
        """The body of the answer."""
        root = Tree.fromstring(data)
        body = root.find("s:Body", NS)
        assert body is not None
        asked = body[0]
        namespace, _, name = asked.tag[1:].partition("}")
        self.asked.append(name)
        if name not in PUBLIC:
            self._authenticate(root, path, authorization)
        service = urlsplit(path).path
        work = getattr(self, f"_{name}", None)
        right_place = any(NS[each] == namespace and service == f"/onvif/{self.places[each]}" for each in self.places)
        if name in ("PullMessages", "SetSynchronizationPoint", "Renew", "Unsubscribe"):
            right_place = service == "/onvif/pullpoint"
        if work is None or not right_place:
            raise Fault("ActionNotSupported", f"{name} at {path}")
        return work(asked, root)

    def _authenticate(self, root: Tree.Element, path: str, authorization: str) -> None:
        if self.http_digest:
            self._check_http_digest(path, authorization)
            return
        token = root.find("s:Header/wsse:Security/wsse:UsernameToken", NS)
        if token is None:
            raise self._unauthorised("no UsernameToken")
        texts = {each.tag.rpartition("}")[2]: each.text or "" for each in token}
        nonce = base64.b64decode(texts["Nonce"])
        digest = hashlib.sha1(nonce + texts["Created"].encode() + PASSWORD.encode()).digest()
        if texts["Username"] != USER or base64.b64encode(digest).decode() != texts["Password"]:
            raise self._unauthorised("wrong user or password")
        created = datetime.fromisoformat(texts["Created"])
        if abs(created - datetime.now(UTC) - self.clock_offset) > timedelta(seconds=5):
            raise self._unauthorised("its time is not mine")
        if texts["Nonce"] in self._nonces:
            raise self._unauthorised("a nonce that was used before")
        self._nonces.add(texts["Nonce"])

    def _check_http_digest(self, path: str, authorization: str) -> None:
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', authorization.removeprefix("Digest ")))
        one = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()
        two = hashlib.md5(f"POST:{path}".encode()).hexdigest()
        middle = f"{given.get('nonce')}:{given.get('nc')}:{given.get('cnonce')}:{given.get('qop')}"
        right = hashlib.md5(f"{one}:{middle}:{two}".encode()).hexdigest()
        if given.get("nonce") != self._http_nonce or given.get("response") != right:
            raise Fault("NotAuthorized", "HTTP digest please", 401)

    def _unauthorised(self, why: str) -> Fault:
        self.refused.append(why)
        return Fault("NotAuthorized", "Sender not authorized")

    @property
    def challenge(self) -> str:
        return f'Digest realm="{REALM}", nonce="{self._http_nonce}", qop="auth", algorithm=MD5'

    def _GetSystemDateAndTime(self, *_: object) -> str:  # noqa: N802
        now = datetime.now(UTC) + self.clock_offset
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}"
            f"</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>"
            f"{now.day}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _GetServices(self, *_: object) -> str:  # noqa: N802
        services = "".join(
            f"<tds:Service><tds:Namespace>{NS[prefix]}</tds:Namespace><tds:XAddr>{UNREACHABLE}/onvif/{place}</tds:XAddr>"
            "<tds:Version><tt:Major>20</tt:Major><tt:Minor>12</tt:Minor></tds:Version></tds:Service>"
            for prefix, place in self.places.items()
        )
        return f"<tds:GetServicesResponse>{services}</tds:GetServicesResponse>"

    def _GetRelayOutputs(self, *_: object) -> str:  # noqa: N802
        relays = "".join(
            f'<tds:RelayOutputs token="{token}"><tt:Properties><tt:Mode>{relay.mode}</tt:Mode>'
            f"<tt:DelayTime>{relay.delay}</tt:DelayTime><tt:IdleState>open</tt:IdleState></tt:Properties></tds:RelayOutputs>"
            for token, relay in self.relays.items()
        )
        return f"<tds:GetRelayOutputsResponse>{relays}</tds:GetRelayOutputsResponse>"

    def _SetRelayOutputSettings(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        relay = self._relay(asked)
        if relay.settings_are_fixed:
            raise Fault("ModeError", "this relay's mode cannot be set")
        relay.mode = asked.findtext("tds:Properties/tt:Mode", "", NS)
        relay.delay = asked.findtext("tds:Properties/tt:DelayTime", "", NS)
        assert relay.mode in ("Monostable", "Bistable")
        assert asked.findtext("tds:Properties/tt:IdleState", "", NS) in ("open", "closed")
        return "<tds:SetRelayOutputSettingsResponse/>"

    def _SetRelayOutputState(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        token = asked.findtext("tds:RelayOutputToken", "", NS)
        relay = self._relay(asked)
        state = asked.findtext("tds:LogicalState", "", NS)
        assert state in ("active", "inactive")
        if relay.timer is not None:
            relay.timer.cancel()
            relay.timer = None
        self._put(token, state == "active")
        if relay.active and relay.mode == "Monostable":
            seconds = float(relay.delay.removeprefix("PT").removesuffix("S"))
            relay.timer = threading.Timer(seconds, self._put, (token, False))
            relay.timer.daemon = True
            relay.timer.start()
        return "<tds:SetRelayOutputStateResponse/>"

    def _put(self, token: str, active: bool) -> None:
        self.relays[token].active = active
        self.relays[token].switched.append(active)
        state = "active" if active else "inactive"
        self._emit(_message("tns1:Device/Trigger/Relay", "RelayToken", token, "LogicalState", state, "Changed"))

    def _relay(self, asked: Tree.Element) -> Relay:
        relay = self.relays.get(asked.findtext("tds:RelayOutputToken", "", NS))
        if relay is None:
            raise Fault("RelayToken", "Unknown relay token reference")
        return relay

    def _GetDigitalInputs(self, *_: object) -> str:  # noqa: N802
        inputs = "".join(f'<tmd:DigitalInputs token="{token}"/>' for token in self.inputs)
        return f"<tmd:GetDigitalInputsResponse>{inputs}</tmd:GetDigitalInputsResponse>"

    def _CreatePullPointSubscription(self, asked: Tree.Element, root: Tree.Element) -> str:  # noqa: N802
        self._check_addressing(root, "CreatePullPointSubscriptionRequest")
        lifetime = asked.findtext("tev:InitialTerminationTime", "PT60S", NS)
        number = os.urandom(4).hex()
        with self._changed:
            lifetime = self._granted(lifetime)
            self._subscriptions[number] = subscription = _Subscription(time.monotonic() + _seconds(lifetime))
            if self.tells_first_states:
                subscription.messages.extend(self._input_message(token, "Initialized") for token in self.inputs)
        return (
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            f"<wsa:Address>{UNREACHABLE}/onvif/pullpoint?n={number}</wsa:Address><wsa:ReferenceParameters>"
            f"<mine:Number>{number}</mine:Number></wsa:ReferenceParameters></tev:SubscriptionReference>"
            f"{_times(lifetime)}</tev:CreatePullPointSubscriptionResponse>"
        )

    def _SetSynchronizationPoint(self, _asked: object, root: Tree.Element) -> str:  # noqa: N802
        self._subscription(root, "SetSynchronizationPointRequest")
        return "<tev:SetSynchronizationPointResponse/>"

    def _PullMessages(self, asked: Tree.Element, root: Tree.Element) -> str:  # noqa: N802
        subscription = self._subscription(root, "PullMessagesRequest")
        wait_s = _seconds(asked.findtext("tev:Timeout", "", NS)) if self.holds_pulls else 0.0
        limit = int(asked.findtext("tev:MessageLimit", "", NS))
        with self._changed:
            self._changed.wait_for(lambda: subscription.messages or not self._subscriptions, wait_s)
            if not subscription.messages and self.hangs_up:
                raise HangUp
            count = min(limit, len(subscription.messages))
            messages = "".join(subscription.messages.popleft() for _ in range(count))
        return f"<tev:PullMessagesResponse>{_times('PT60S', 'tev')}{messages}</tev:PullMessagesResponse>"

    def _Renew(self, asked: Tree.Element, root: Tree.Element) -> str:  # noqa: N802
        lifetime = self._granted(asked.findtext("wsnt:TerminationTime", "", NS))
        self._subscription(root, "RenewRequest").ends_s = time.monotonic() + _seconds(lifetime)
        return f"<wsnt:RenewResponse>{_times(lifetime)}</wsnt:RenewResponse>"

    def _Unsubscribe(self, _asked: object, root: Tree.Element) -> str:  # noqa: N802
        self._subscription(root, "UnsubscribeRequest")
        with self._changed:
            del self._subscriptions[root.findtext("s:Header/mine:Number", "", NS)]
        return "<wsnt:UnsubscribeResponse/>"

    def _granted(self, lifetime: str) -> str:
        return lifetime if self.grants_s is None else f"PT{min(self.grants_s, _seconds(lifetime)):g}S"

    def _subscription(self, root: Tree.Element, action: str) -> _Subscription:
        """The one that the echoed reference parameter names (WS-Addressing 1.0, section 3.3)."""
        self._check_addressing(root, action)
        subscription = self._subscriptions.get(root.findtext("s:Header/mine:Number", "", NS))
        if subscription is None or subscription.ends_s < time.monotonic():
            raise Fault("ResourceUnknownFault", "there is no such subscription")
        return subscription

    def _check_addressing(self, root: Tree.Element, action: str) -> None:
        if not root.findtext("s:Header/wsa:Action", "", NS).endswith(f"/{action}"):
            raise Fault("InvalidAddressingHeader", f"the action is to be {action}")
        if f":{self._port}/" not in root.findtext("s:Header/wsa:To", "", NS):
            raise Fault("InvalidAddressingHeader", "that is not me")


def _message(topic: str, source: str, token: str, data: str, state: str, operation: str) -> str:
    return (
        '<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
        f"{topic}</wsnt:Topic><wsnt:Message>"
        f'<tt:Message UtcTime="2026-07-01T08:00:00Z" PropertyOperation="{operation}">'
        f'<tt:Source><tt:SimpleItem Name="{source}" Value="{token}"/></tt:Source>'
        f'<tt:Data><tt:SimpleItem Name="{data}" Value="{state}"/></tt:Data></tt:Message></wsnt:Message>'
        "</wsnt:NotificationMessage>"
    )


def _times(lifetime: str, prefix: str = "wsnt") -> str:
    now = datetime.now(UTC)
    end = now + timedelta(seconds=_seconds(lifetime))
    return (
        f"<{prefix}:CurrentTime>{now:%Y-%m-%dT%H:%M:%SZ}</{prefix}:CurrentTime>"
        f"<{prefix}:TerminationTime>{end:%Y-%m-%dT%H:%M:%SZ}</{prefix}:TerminationTime>"
    )


def _seconds(duration: str) -> float:
    match = re.fullmatch(r"PT(\d+(?:\.\d+)?)S", duration)
    assert match is not None, f"no duration of seconds: {duration}"
    return float(match[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    has_power = True
    peer: OnvifPeer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        peer = self.server.peer
        data = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, body = 200, peer.answer(self.path, data, self.headers.get("Authorization", ""))
        except HangUp:
            self.close_connection = True
            return
        except Fault as fault:
            status = fault.status
            body = (
                "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>"
                f"ter:{fault.subcode}</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang='en'>{fault.reason}"
                "</s:Text></s:Reason></s:Fault>"
            )
        if not self.server.has_power:
            self.close_connection = True
            return
        spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
        answer = f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope {spaces}><s:Body>{body}</s:Body></s:Envelope>'
        self._send(status, answer.encode(), peer.challenge)

    def _send(self, status: int, answer: bytes, challenge: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        if status == 401:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass
