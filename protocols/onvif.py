"""ONVIF as a door needs it: relay outputs, digital inputs and their events, as SOAP bodies out and values in.

Standards: ONVIF Core Specification (device service, section 8; events, section 9), ONVIF Device IO Service
Specification (section 5), OASIS WS-BaseNotification 1.3, OASIS Web Services Security UsernameToken Profile 1.0. No
sockets and no clock: nonces and times are passed in.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from protocols.base import ProtocolError
from protocols.xml_reading import Element, read_xml

SOAP = "http://www.w3.org/2003/05/soap-envelope"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
DEVICE_IO = "http://www.onvif.org/ver10/deviceIO/wsdl"
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_WSNT = "http://docs.oasis-open.org/wsn/b-2"
_WSNT_ACTIONS = "http://docs.oasis-open.org/wsn/bw-2"
_WSA = "http://www.w3.org/2005/08/addressing"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"

DEVICE_PATH = "/onvif/device_service"
"""Where every device has its device service (Core, section 5.1.1)."""

MAX_MESSAGES = 100
"""Messages asked for by one pull."""

_MAX_PATH = 1000
_MAX_REFERENCE_PARAMETERS = 8
_MAX_TOKENS = 64
_SOUND_PATH = re.compile(r"^/[!-~]*\Z")
_DURATION = re.compile(r"^P(?:(\d{1,4})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?\Z")


class SoapFault(ProtocolError):
    """The device answered with a fault; `subcodes` are its codes' local names, the outermost first."""

    def __init__(self, subcodes: tuple[str, ...], reason: str) -> None:
        super().__init__(reason or "/".join(subcodes) or "a fault without a reason")
        self.subcodes = subcodes

    @property
    def is_unauthorised(self) -> bool:
        """Whether it refuses the user or password."""
        return bool({"NotAuthorized", "FailedAuthentication", "InvalidSecurity"}.intersection(self.subcodes))


@dataclass(frozen=True)
class Request:
    """What to ask: the WS-Addressing action and the body's XML."""

    action: str
    body: str


class RelayMode(StrEnum):
    MONOSTABLE = "Monostable"
    """Goes back by itself after its delay."""
    BISTABLE = "Bistable"


@dataclass(frozen=True)
class RelayOutput:
    """A relay and its settings; `delay_s` counts in monostable mode."""

    token: str
    mode: RelayMode
    delay_s: float
    idle_state: str
    """`open` or `closed`: its contact at rest."""


@dataclass(frozen=True)
class Subscription:
    """A pull point: where to pull, and what to send along (namespace, name, text) in each header."""

    path: str
    reference_parameters: tuple[tuple[str, str, str], ...]


class Port(StrEnum):
    """What an event is about."""

    INPUT = "input"
    RELAY = "relay"


@dataclass(frozen=True)
class PortEvent:
    """The state of an input or relay. `initial`: as it stood when the subscription began or was synchronised."""

    port: Port
    token: str
    active: bool
    initial: bool


def username_token(username: str, password: str, nonce: bytes, created: datetime) -> str:
    """The WS-Security header: digest = Base64(SHA-1(nonce + created + password)).

    Args:
        nonce: 16 random bytes, never used again.
        created: the moment by the device's clock, in UTC.
    """
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{created.microsecond // 1000:03d}Z"
    digest = hashlib.sha1(nonce + stamp.encode() + password.encode()).digest()  # noqa: S324 - as the profile says
    return (
        f'<wsse:Security s:mustUnderstand="1" xmlns:wsse="{_WSSE}" xmlns:wsu="{_WSU}"><wsse:UsernameToken>'
        f"<wsse:Username>{escape(username)}</wsse:Username>"
        f'<wsse:Password Type="{_DIGEST}">{base64.b64encode(digest).decode()}</wsse:Password>'
        f'<wsse:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</wsse:Nonce>'
        f"<wsu:Created>{stamp}</wsu:Created></wsse:UsernameToken></wsse:Security>"
    )


def envelope(request: Request, security: str = "", to: str = "", subscription: Subscription | None = None) -> bytes:
    """A SOAP 1.2 message.

    Args:
        security: what `username_token` made.
        to: the address it goes to; with it the message carries WS-Addressing headers, which pull points ask for.
    """
    headers = security
    if to:
        headers += f'<a:Action s:mustUnderstand="1">{request.action}</a:Action><a:To>{escape(to)}</a:To>'
    for namespace, name, text in subscription.reference_parameters if subscription else ():
        headers += f'<{name} xmlns={quoteattr(namespace)} a:IsReferenceParameter="true">{escape(text)}</{name}>'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:a="{_WSA}">'
        f"<s:Header>{headers}</s:Header><s:Body>{request.body}</s:Body></s:Envelope>"
    ).encode()


def get_system_date_and_time() -> Request:
    return _device("GetSystemDateAndTime")


def get_services() -> Request:
    return _device("GetServices", "<IncludeCapability>false</IncludeCapability>")


def get_relay_outputs() -> Request:
    return _device("GetRelayOutputs")


def set_relay_output_settings(relay: RelayOutput) -> Request:
    properties = (
        f"<t:Mode>{relay.mode}</t:Mode><t:DelayTime>{_duration(relay.delay_s)}</t:DelayTime>"
        f"<t:IdleState>{escape(relay.idle_state)}</t:IdleState>"
    )
    return _device(
        "SetRelayOutputSettings",
        f"<RelayOutputToken>{escape(relay.token)}</RelayOutputToken>"
        f'<Properties xmlns:t="{_SCHEMA}">{properties}</Properties>',
    )


def set_relay_output_state(token: str, active: bool) -> Request:
    state = "active" if active else "inactive"
    return _device(
        "SetRelayOutputState",
        f"<RelayOutputToken>{escape(token)}</RelayOutputToken><LogicalState>{state}</LogicalState>",
    )


def get_digital_inputs() -> Request:
    return Request(f"{DEVICE_IO}/GetDigitalInputs", f'<GetDigitalInputs xmlns="{DEVICE_IO}"/>')


def create_pull_point(lifetime_s: int) -> Request:
    """Every topic is asked for: filters are what devices get wrong most often."""
    return Request(
        f"{EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
        f'<CreatePullPointSubscription xmlns="{EVENTS}"><InitialTerminationTime>{_duration(lifetime_s)}'
        "</InitialTerminationTime></CreatePullPointSubscription>",
    )


def set_synchronization_point() -> Request:
    """Ask that the state of every input be told again."""
    return Request(
        f"{EVENTS}/PullPointSubscription/SetSynchronizationPointRequest",
        f'<SetSynchronizationPoint xmlns="{EVENTS}"/>',
    )


def pull_messages(timeout_s: float) -> Request:
    return Request(
        f"{EVENTS}/PullPointSubscription/PullMessagesRequest",
        f'<PullMessages xmlns="{EVENTS}"><Timeout>{_duration(timeout_s)}</Timeout>'
        f"<MessageLimit>{MAX_MESSAGES}</MessageLimit></PullMessages>",
    )


def renew(lifetime_s: int) -> Request:
    return Request(
        f"{_WSNT_ACTIONS}/SubscriptionManager/RenewRequest",
        f'<Renew xmlns="{_WSNT}"><TerminationTime>{_duration(lifetime_s)}</TerminationTime></Renew>',
    )


def unsubscribe() -> Request:
    return Request(f"{_WSNT_ACTIONS}/SubscriptionManager/UnsubscribeRequest", f'<Unsubscribe xmlns="{_WSNT}"/>')


def read_answer(data: bytes, wanted: str) -> Element:
    """The element in the body of an answer, which is to have the local name `wanted`.

    Raises:
        SoapFault: if it is a fault.
        ProtocolError: if it is anything else.
    """
    root = read_xml(data)
    body = root.child("Body")
    if root.name != "Envelope" or body is None:
        raise ProtocolError("no SOAP envelope with a body")
    fault = body.child("Fault")
    if fault is not None:
        raise _fault(fault)
    answer = body.child(wanted)
    if answer is None:
        raise ProtocolError(f"no {wanted} in the answer")
    return answer


def read_date_and_time(answer: Element) -> datetime:
    """The device's clock, in UTC (`GetSystemDateAndTimeResponse`)."""
    utc = answer.child("SystemDateAndTime", "UTCDateTime")
    if utc is None:
        raise ProtocolError("the device tells no UTC time")
    year, month, day = (_number(utc.text_of("Date", name)) for name in ("Year", "Month", "Day"))
    hour, minute, second = (_number(utc.text_of("Time", name)) for name in ("Hour", "Minute", "Second"))
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError as error:
        raise ProtocolError(f"the device's time is none: {error}") from None


def read_services(answer: Element) -> dict[str, str]:
    """The path of each service by its namespace (`GetServicesResponse`)."""
    return {each.text_of("Namespace"): path_of(each.text_of("XAddr")) for each in answer.all("Service")}


def read_relay_outputs(answer: Element) -> tuple[RelayOutput, ...]:
    """The relays in the device's order (`GetRelayOutputsResponse`)."""
    return tuple(_relay(each) for each in list(answer.all("RelayOutputs"))[:_MAX_TOKENS])


def read_digital_inputs(answer: Element) -> tuple[str, ...]:
    """The tokens of the inputs in the device's order (`GetDigitalInputsResponse`)."""
    return tuple(token_of(each) for each in list(answer.all("DigitalInputs"))[:_MAX_TOKENS])


def read_subscription(answer: Element) -> Subscription:
    """The pull point that was made (`CreatePullPointSubscriptionResponse`)."""
    reference = answer.child("SubscriptionReference")
    if reference is None:
        raise ProtocolError("no SubscriptionReference in the answer")
    parameters = reference.child("ReferenceParameters")
    kept = [(each.namespace, each.name, each.text) for each in parameters.children] if parameters else []
    if len(kept) > _MAX_REFERENCE_PARAMETERS:
        raise ProtocolError("too many reference parameters")
    return Subscription(path_of(reference.text_of("Address")), tuple(kept))


def read_lifetime(answer: Element) -> float | None:
    """So many seconds a subscription lives after this answer (to CreatePullPointSubscription or Renew), by the device's
    own two times; None where it tells none that make sense, as some devices send 0000-00-00."""
    try:
        begins, ends = (datetime.fromisoformat(answer.text_of(name)) for name in ("CurrentTime", "TerminationTime"))
        lifetime_s = (ends - begins).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return lifetime_s if lifetime_s > 0 else None


def read_messages(answer: Element) -> tuple[PortEvent, ...]:
    """The inputs' and relays' states among the messages (`PullMessagesResponse`); other topics are passed over."""
    events = (_port_event(each) for each in answer.all("NotificationMessage"))
    return tuple(event for event in events if event is not None)


def path_of(address: str) -> str:
    """The path and query of an address that a device advertises. Its host and port are never followed.

    Raises:
        ProtocolError: if it is no address, or its path could not go into a request line.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        raise ProtocolError("a service address that is none") from None
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    sound = (
        path.startswith("/") and len(path) <= _MAX_PATH and path.isascii() and path.isprintable() and " " not in path
    )
    if parts.scheme not in ("http", "https") or not sound:
        raise ProtocolError("a service address that cannot be asked")
    return path


def read_duration(text: str) -> float:
    """An xs:duration of days, hours, minutes and seconds, in seconds.

    Raises:
        ProtocolError: if it is none.
    """
    match = _DURATION.match(text)
    if match is None or not any(match.groups()):
        raise ProtocolError("no duration such as PT5S")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


_INPUT_TOPICS = ("Device/Trigger/DigitalInput", "Device/Trigger/AlarmIn", "Device/IO/Port", "Device/IO/DigitalInput")
_RELAY_TOPICS = ("Device/Trigger/Relay", "Device/Trigger/RelayOutput")
_TOKEN_NAMES = ("inputtoken", "relaytoken", "relayoutputtoken", "alarmintoken", "token", "port", "index")
_STATE_NAMES = ("logicalstate", "state", "value", "active")
_ACTIVE, _INACTIVE = ("true", "1", "active", "on"), ("false", "0", "inactive", "off")


def _port_event(message: Element) -> PortEvent | None:
    """What one notification tells of a port, whoever made the device: names differ, the shape does not."""
    path = "/".join(step.rpartition(":")[2] for step in message.text_of("Topic").split("/"))
    inner = message.child("Message", "Message")
    if inner is None or path not in _INPUT_TOPICS + _RELAY_TOPICS:
        return None
    token = _item(inner.child("Source"), _TOKEN_NAMES) or _item(inner.child("Key"), _TOKEN_NAMES)
    state = _item(inner.child("Data"), _STATE_NAMES).lower()
    if not token or state not in _ACTIVE + _INACTIVE:
        return None
    initial = inner.attributes.get("PropertyOperation") == "Initialized"
    return PortEvent(Port.RELAY if path in _RELAY_TOPICS else Port.INPUT, token, state in _ACTIVE, initial)


def _item(items: Element | None, names: tuple[str, ...]) -> str:
    values = {each.attributes.get("Name", "").lower(): each.attributes.get("Value", "") for each in _simple(items)}
    return next((values[name] for name in names if name in values), "")


def _simple(items: Element | None) -> list[Element]:
    return [] if items is None else list(items.all("SimpleItem"))


def _relay(element: Element) -> RelayOutput:
    properties = element.child("Properties") or element
    mode = RelayMode.MONOSTABLE if properties.text_of("Mode") == RelayMode.MONOSTABLE else RelayMode.BISTABLE
    delay = properties.text_of("DelayTime")
    idle = "closed" if properties.text_of("IdleState") == "closed" else "open"
    return RelayOutput(token_of(element), mode, read_duration(delay) if delay else 0.0, idle)


def token_of(element: Element) -> str:
    """The token by which the device names one of its things.

    Raises:
        ProtocolError: if it has none, or one that is far too long.
    """
    token = element.attributes.get("token", "")
    if not 1 <= len(token) <= 64:
        raise ProtocolError("a token is 1 to 64 characters")
    return token


def _fault(fault: Element) -> SoapFault:
    codes: list[str] = []
    code = fault.child("Code")
    while code is not None and len(codes) < 5:
        codes.append(code.text_of("Value").rpartition(":")[2][:64])
        code = code.child("Subcode")
    reason = fault.text_of("Reason", "Text") or fault.text_of("faultstring")
    return SoapFault(tuple(codes), " ".join(reason.split())[:200])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise ProtocolError("a date's part is no number")
    return int(text)


def _duration(seconds: float) -> str:
    return f"PT{seconds:g}S" if seconds < 1e5 else f"PT{int(seconds)}S"


def _device(name: str, inner: str = "") -> Request:
    return Request(f"{DEVICE}/{name}", f'<{name} xmlns="{DEVICE}">{inner}</{name}>')
