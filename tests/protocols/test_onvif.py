"""ONVIF's SOAP, read and written: fixtures as devices send them, and input that no device should send."""

import base64
import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import onvif
from protocols.base import ProtocolError
from protocols.onvif import Port, PortEvent, RelayMode, RelayOutput, SoapFault, Subscription
from protocols.xml_reading import MAX_DEPTH, MAX_ELEMENTS, MAX_XML_BYTES, read_xml

SPACES = (
    'xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tev="http://www.onvif.org/ver10/events/wsdl" '
    'xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:wsa5="http://www.w3.org/2005/08/addressing" '
    'xmlns:dom0="http://www.axis.com/2009/event" xmlns:tmd="http://www.onvif.org/ver10/deviceIO/wsdl"'
)


def answer(body: str) -> bytes:
    return f'<?xml version="1.0"?><env:Envelope {SPACES}><env:Body>{body}</env:Body></env:Envelope>'.encode()


PULLED = """<tev:PullMessagesResponse><tev:CurrentTime>2026-07-01T08:00:01Z</tev:CurrentTime>
<tev:TerminationTime>2026-07-01T08:01:01Z</tev:TerminationTime>
<wsnt:NotificationMessage><wsnt:Topic Dialect="d">tns1:Device/Trigger/DigitalInput</wsnt:Topic><wsnt:Message>
<tt:Message UtcTime="2026-07-01T08:00:00Z" PropertyOperation="Initialized"><tt:Source>
<tt:SimpleItem Name="InputToken" Value="DI_0"/></tt:Source><tt:Data><tt:SimpleItem Name="LogicalState" Value="true"/>
</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>
<wsnt:NotificationMessage><wsnt:Topic>tns1:Device/tns1:Trigger/tns1:Relay</wsnt:Topic><wsnt:Message>
<tt:Message PropertyOperation="Changed"><tt:Source><tt:SimpleItem Value="R 1" Name="RelayToken"/></tt:Source>
<tt:Data><tt:SimpleItem Name="LogicalState" Value="inactive"/></tt:Data></tt:Message></wsnt:Message>
</wsnt:NotificationMessage>
<wsnt:NotificationMessage><wsnt:Topic>tns1:RuleEngine/CellMotionDetector/Motion</wsnt:Topic><wsnt:Message>
<tt:Message><tt:Data><tt:SimpleItem Name="IsMotion" Value="true"/></tt:Data></tt:Message></wsnt:Message>
</wsnt:NotificationMessage>
<wsnt:NotificationMessage><wsnt:Topic>tns1:Device/Trigger/DigitalInput</wsnt:Topic><wsnt:Message>
<tt:Message><tt:Source><tt:SimpleItem Name="InputToken" Value="DI_1"/></tt:Source>
<tt:Data><tt:SimpleItem Name="LogicalState" Value="perhaps"/></tt:Data></tt:Message></wsnt:Message>
</wsnt:NotificationMessage></tev:PullMessagesResponse>"""


def test_a_pull_tells_of_inputs_and_relays_and_nothing_else() -> None:
    read = onvif.read_messages(onvif.read_answer(answer(PULLED), "PullMessagesResponse"))

    assert read == (PortEvent(Port.INPUT, "DI_0", True, True), PortEvent(Port.RELAY, "R 1", False, False))


def test_a_subscription_keeps_what_is_to_be_echoed() -> None:
    body = (
        "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa5:Address>"
        "http://192.168.0.90:8080/onvif/services?n=1&amp;x=2</wsa5:Address><wsa5:ReferenceParameters>"
        "<dom0:SubscriptionId>17</dom0:SubscriptionId></wsa5:ReferenceParameters></tev:SubscriptionReference>"
        "</tev:CreatePullPointSubscriptionResponse>"
    )
    read = onvif.read_subscription(onvif.read_answer(answer(body), "CreatePullPointSubscriptionResponse"))

    assert read == Subscription(
        "/onvif/services?n=1&x=2", (("http://www.axis.com/2009/event", "SubscriptionId", "17"),)
    )
    header = read_xml(onvif.envelope(onvif.renew(60), to="http://10.0.0.9:80/a?b&c", subscription=read)).child("Header")
    assert header is not None
    assert header.text_of("To") == "http://10.0.0.9:80/a?b&c"
    echoed = header.child("SubscriptionId")
    assert echoed is not None
    assert (echoed.namespace, echoed.text) == ("http://www.axis.com/2009/event", "17")
    assert echoed.attributes == {"IsReferenceParameter": "true"}


@pytest.mark.parametrize(
    ("begins", "ends", "lifetime_s"),
    [
        ("2026-07-01T08:00:00Z", "2026-07-01T08:01:00Z", 60.0),
        ("2026-07-01T08:00:00.5+08:00", "2026-07-01T00:10:00.5Z", 600.0),
        ("2026-07-01T08:00:00Z", "2026-07-01T07:00:00Z", None),
        ("2026-07-01T08:00:00Z", "0000-00-00T00:00:00Z", None),
        ("2026-07-01T08:00:00Z", "2026-07-01T08:01:00", None),
        ("", "", None),
    ],
)
def test_how_long_a_subscription_lives_is_read_from_both_times(
    begins: str, ends: str, lifetime_s: float | None
) -> None:
    body = (
        f"<tev:CreatePullPointSubscriptionResponse><wsnt:CurrentTime>{begins}</wsnt:CurrentTime>"
        f"<wsnt:TerminationTime>{ends}</wsnt:TerminationTime></tev:CreatePullPointSubscriptionResponse>"
    )
    told = onvif.read_answer(answer(body), "CreatePullPointSubscriptionResponse")

    assert onvif.read_lifetime(told) == lifetime_s


def test_the_password_digest_is_that_of_the_profile() -> None:
    nonce, created = bytes(range(16)), datetime(2026, 7, 1, 8, 0, 0, 123456, UTC)
    security = onvif.username_token("a&b", "secret", nonce, created)
    message = read_xml(onvif.envelope(onvif.get_relay_outputs(), security))
    header = message.child("Header", "Security", "UsernameToken")

    assert header is not None
    assert header.text_of("Created") == "2026-07-01T08:00:00.123Z"
    assert base64.b64decode(header.text_of("Nonce")) == nonce
    right = hashlib.sha1(nonce + b"2026-07-01T08:00:00.123Z" + b"secret").digest()
    assert base64.b64decode(header.text_of("Password")) == right
    assert header.text_of("Username") == "a&b"


def test_relays_are_read_with_their_settings() -> None:
    body = (
        '<tds:GetRelayOutputsResponse><tds:RelayOutputs token="R1"><tt:Properties><tt:Mode>Monostable</tt:Mode>'
        "<tt:DelayTime>PT1M0.5S</tt:DelayTime><tt:IdleState>closed</tt:IdleState></tt:Properties></tds:RelayOutputs>"
        '<tds:RelayOutputs token="R2"><tt:Properties/></tds:RelayOutputs></tds:GetRelayOutputsResponse>'
    )
    assert onvif.read_relay_outputs(onvif.read_answer(answer(body), "GetRelayOutputsResponse")) == (
        RelayOutput("R1", RelayMode.MONOSTABLE, 60.5, "closed"),
        RelayOutput("R2", RelayMode.BISTABLE, 0.0, "open"),
    )


def test_what_is_set_says_the_relay_its_mode_and_its_delay() -> None:
    request = onvif.set_relay_output_settings(RelayOutput("R<1>", RelayMode.MONOSTABLE, 5.0, "open"))
    asked = read_xml(onvif.envelope(request)).child("Body", "SetRelayOutputSettings")

    assert asked is not None
    assert asked.text_of("RelayOutputToken") == "R<1>"
    assert [each.text for each in asked.children[1].children] == ["Monostable", "PT5S", "open"]


def test_a_fault_is_raised_with_its_codes_and_reason() -> None:
    body = (
        '<env:Fault xmlns:ter="http://www.onvif.org/ver10/error"><env:Code><env:Value>env:Sender</env:Value><env:Subcode>'
        "<env:Value>ter:NotAuthorized</env:Value></env:Subcode></env:Code><env:Reason><env:Text>Sender not\n Authorized"
        "</env:Text></env:Reason></env:Fault>"
    )
    with pytest.raises(SoapFault, match=r"^Sender not Authorized$") as raised:
        onvif.read_answer(answer(body), "GetRelayOutputsResponse")

    assert raised.value.subcodes == ("Sender", "NotAuthorized")
    assert raised.value.is_unauthorised


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT5S", 5), ("PT0.5S", 0.5), ("PT1M", 60), ("P1DT2H", 93600), ("PT0S", 0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert onvif.read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "5", "PT5", "-PT5S", "PT5S ", "P1Y", "PT99999999999S", "PT５S\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        onvif.read_duration(text)


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://10.0.0.1/onvif/device_service", "/onvif/device_service"),
        ("https://[fe80::1]:8443/a?b=c", "/a?b=c"),
        ("http://metadata.internal//evil.example/x", "//evil.example/x"),
    ],
)
def test_of_an_advertised_address_the_path_alone_counts(address: str, path: str) -> None:
    assert onvif.path_of(address) == path


@pytest.mark.parametrize(
    "address",
    ["", "/a", "http://host", "file:///etc/passwd", "http://h/a b", "http://h/é", "http://[", "http://h/" + "a" * 1001],
)
def test_an_address_that_cannot_be_asked_is_refused(address: str) -> None:
    with pytest.raises(ProtocolError):
        onvif.path_of(address)


@pytest.mark.parametrize("part", ["<tt:Year>x</tt:Year>", "<tt:Year>2026</tt:Year><tt:Month>13</tt:Month>", ""])
def test_a_time_that_is_none_is_refused(part: str) -> None:
    body = (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>1</tt:Hour>"
        f"<tt:Minute>2</tt:Minute><tt:Second>3</tt:Second></tt:Time><tt:Date>{part}<tt:Day>1</tt:Day></tt:Date>"
        "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )
    with pytest.raises(ProtocolError):
        onvif.read_date_and_time(onvif.read_answer(answer(body), "GetSystemDateAndTimeResponse"))


# XML that no device should send

_LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><l>&b;</l>'


@pytest.mark.parametrize(
    "data",
    [
        _LAUGHS.encode(),
        _LAUGHS.encode("utf-16"),
        b'<!DOCTYPE l SYSTEM "file:///etc/passwd"><l/>',
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>",
        b" " * MAX_XML_BYTES + b"<a/>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<?xml version="1.0" encoding="gb2312"?><a/>',
        b'<?xml version="1.0" encoding="rot13"?><a/>',
        b"",
        b"<a>",
        b"<a/><b/>",
        b"<p:a/>",
        b"\xff\xfe",
    ],
    ids=str,
)
def test_xml_that_could_harm_or_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_xml(data)


READERS = (
    ("GetSystemDateAndTimeResponse", onvif.read_date_and_time),
    ("GetServicesResponse", onvif.read_services),
    ("GetRelayOutputsResponse", onvif.read_relay_outputs),
    ("GetDigitalInputsResponse", onvif.read_digital_inputs),
    ("CreatePullPointSubscriptionResponse", onvif.read_subscription),
    ("PullMessagesResponse", onvif.read_messages),
)
SAMPLES = (
    PULLED,
    "<tds:GetServicesResponse><tds:Service><tds:Namespace>n</tds:Namespace><tds:XAddr>http://h/a</tds:XAddr>"
    "</tds:Service></tds:GetServicesResponse>",
    '<tds:GetRelayOutputsResponse><tds:RelayOutputs token="R1"><tt:Properties><tt:DelayTime>PT5S</tt:DelayTime>'
    "</tt:Properties></tds:RelayOutputs></tds:GetRelayOutputsResponse>",
    '<tmd:GetDigitalInputsResponse><tmd:DigitalInputs token="1"/></tmd:GetDigitalInputsResponse>',
)


def read_all_ways(data: bytes) -> None:
    for name, reader in READERS:
        try:
            reader(onvif.read_answer(data, name))
        except ProtocolError:
            continue


@given(st.binary(max_size=500))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    read_all_ways(data)


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), min_size=1, max_size=5))
def test_no_damage_to_an_answer_does_more_than_have_it_refused(sample: str, damage: list[tuple[float, bytes]]) -> None:
    data = bytearray(answer(sample))
    for place, put in damage:
        at = int(place * (len(data) - 1))
        data[at : at + len(put)] = put
    read_all_ways(bytes(data))


names = st.sampled_from(["Topic", "Message", "Source", "Data", "SimpleItem", "RelayOutputs", "Properties", "DelayTime"])
trees = st.recursive(
    st.text("tns1:/DeviceTrigger PT5S", max_size=30),
    lambda inner: st.builds(
        lambda name, parts: f"<{name}>{''.join(parts)}</{name}>", names, st.lists(inner, max_size=4)
    ),
    max_leaves=20,
)


@given(trees, st.sampled_from([name for name, _ in READERS]))
def test_no_shape_of_an_answer_does_more_than_be_refused(inside: str, name: str) -> None:
    read_all_ways(answer(f"<{name}>{inside}</{name}>"))
