"""WS-Discovery: what is asked, what cameras answer, and answers that no camera should send."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import ws_discovery
from protocols.base import ProtocolError
from protocols.ws_discovery import Match, read_matches
from protocols.xml_reading import read_xml

HIKVISION = b"""<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<env:Header><wsadis:RelatesTo>urn:uuid:1</wsadis:RelatesTo></env:Header><env:Body><d:ProbeMatches><d:ProbeMatch>
<wsadis:EndpointReference><wsadis:Address>urn:uuid:6d1c0000-a5fe-11b4-8265-c0517e9f1234</wsadis:Address>
</wsadis:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2043G2-I
onvif://www.onvif.org/name/Gate%20east onvif://www.onvif.org/location/city/hangzhou</d:Scopes>
<d:XAddrs>http://192.0.2.64/onvif/device_service http://[fe80::c251:7eff:fe9f:1234]/onvif/device_service</d:XAddrs>
<d:MetadataVersion>10</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></env:Body></env:Envelope>"""


def answer(addresses: str, scopes: str = "") -> bytes:
    return (
        "<E><Body><ProbeMatches><ProbeMatch><EndpointReference><Address>urn:x</Address></EndpointReference>"
        f"<Scopes>{scopes}</Scopes><XAddrs>{addresses}</XAddrs></ProbeMatch></ProbeMatches></Body></E>"
    ).encode()


def test_a_probe_names_its_action_its_kind_and_itself() -> None:
    sent = read_xml(ws_discovery.probe(UUID(int=7), "NetworkVideoTransmitter"))
    header = sent.child("Header")

    assert header is not None
    assert header.text_of("MessageID") == f"urn:uuid:{UUID(int=7)}"
    assert header.text_of("Action") == "http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe"
    asked = sent.child("Body", "Probe")
    assert asked is not None
    assert asked.namespace == "http://schemas.xmlsoap.org/ws/2005/04/discovery"
    assert asked.text_of("Types") == "n:NetworkVideoTransmitter"


def test_a_camera_says_its_name_make_and_place() -> None:
    assert read_matches(HIKVISION, "192.0.2.64") == (
        Match(
            endpoint="urn:uuid:6d1c0000-a5fe-11b4-8265-c0517e9f1234",
            host="192.0.2.64",
            port=80,
            https=False,
            path="/onvif/device_service",
            name="Gate east",
            hardware="DS-2CD2043G2-I",
            location="city/hangzhou",
        ),
    )


@pytest.mark.parametrize(
    ("addresses", "address"),
    [
        ("http://198.51.100.9:8899/x http://192.0.2.64:8000/onvif/device_service", "http://192.0.2.64:8000/onvif/device_service"),
        ("http://127.0.0.1:22/onvif/device_service", "http://192.0.2.64:22/onvif/device_service"),
        ("https://camera.local/onvif/device_service", "https://192.0.2.64:443/onvif/device_service"),
        ("ftp://192.0.2.64/a http://[ http://192.0.2.64:99999/b http://192.0.2.64/c", "http://192.0.2.64:80/c"),
    ],
)  # fmt: skip
def test_only_the_host_that_answered_is_believed(addresses: str, address: str) -> None:
    (match,) = read_matches(answer(addresses), "192.0.2.64")

    assert match.address == address


@pytest.mark.parametrize("addresses", ["", "http://192.0.2.64", "/onvif", "http://192.0.2.64/" + "a" * 300])
def test_a_device_without_an_address_that_can_be_asked_is_left_out(addresses: str) -> None:
    assert read_matches(answer(addresses), "192.0.2.64") == ()


def test_a_name_fits_a_terminal() -> None:
    scopes = "onvif://www.onvif.org/name/%1b[31mred%0a" + "x" * 200
    (match,) = read_matches(answer("http://a/b", scopes), "192.0.2.64")

    assert match.name.isprintable()
    assert len(match.name) == 80


def test_a_camera_that_leaves_the_plural_out_is_understood() -> None:
    alone = answer("http://192.0.2.64/b").replace(b"<ProbeMatches>", b"").replace(b"</ProbeMatches>", b"")

    assert [match.address for match in read_matches(alone, "192.0.2.64")] == ["http://192.0.2.64:80/b"]


def test_what_is_no_answer_to_a_probe_holds_no_device() -> None:
    hello = b"<E><Body><Hello><XAddrs>http://a/b</XAddrs></Hello></Body></E>"

    assert read_matches(hello, "192.0.2.64") == ()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 1000))
def test_no_datagram_does_more_than_be_refused(noise: bytes, at: int) -> None:
    for datagram in (noise, HIKVISION[:at] + noise + HIKVISION[at:], HIKVISION[:at] + noise + HIKVISION[at + 50 :]):
        try:
            read_matches(datagram, "192.0.2.64")
        except ProtocolError:
            continue


def test_a_document_type_is_refused() -> None:
    with pytest.raises(ProtocolError, match="document type"):
        read_matches(b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + answer("http://a/b"), "192.0.2.64")
