"""Finding cameras with real datagrams over loopback, from a responder written from WS-Discovery."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge.cameras.discovery import Search, multicast_socket
from protocols.ws_discovery import GROUP, Match

ANSWER = """<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing">
<e:Header><w:RelatesTo>{asked}</w:RelatesTo></e:Header><e:Body><d:ProbeMatches><d:ProbeMatch><w:EndpointReference>
<w:Address>urn:uuid:1</w:Address></w:EndpointReference><d:Types>{kind}</d:Types>
<d:Scopes>onvif://www.onvif.org/name/Gate%20east onvif://www.onvif.org/hardware/VC-1</d:Scopes>
<d:XAddrs>http://127.0.0.1:8899/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"""


@contextmanager
def responder(kind: str, nonsense: bytes = b"") -> Iterator[tuple[int, list[str]]]:
    """A camera of one kind, which sends `nonsense` before its answer: its port, and the kinds that it was asked for."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
        camera.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_respond, args=(camera, kind, nonsense, asked))
        thread.start()
        yield camera.getsockname()[1], asked
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"end", camera.getsockname())
        thread.join()


def _respond(camera: socket.socket, kind: str, nonsense: bytes, asked: list[str]) -> None:
    while True:
        datagram, sender = camera.recvfrom(65_507)
        if datagram == b"end":
            return
        text = datagram.decode()
        found = re.search(r"Types>\w+:(\w+)</", text)
        number = re.search(r"MessageID>([^<]+)<", text)
        assert found is not None
        assert number is not None
        asked.append(found[1])
        if nonsense:
            camera.sendto(nonsense, sender)
        if found[1] == kind:
            camera.sendto(ANSWER.format(asked=number[1], kind=kind).encode(), sender)


@pytest.mark.parametrize("kind", ["NetworkVideoTransmitter", "Device"])
def test_a_camera_of_either_kind_is_found_once(kind: str) -> None:
    told: list[Match] = []
    with responder(kind) as (port, asked):
        found = Search(told.append).at(["127.0.0.1"], 1.0, port=port)

    assert [match.address for match in found.matches] == ["http://127.0.0.1:8899/onvif/device_service"]
    assert (found.matches[0].name, found.matches[0].hardware) == ("Gate east", "VC-1")
    assert told == found.matches
    assert len(asked) == 4, "both kinds, twice within the second: a datagram may be lost"


@pytest.mark.parametrize("nonsense", [b"\0\xff", b"<!DOCTYPE a []><a/>", b"<a>" * 9000])
def test_nonsense_is_counted_and_hides_nothing(nonsense: bytes) -> None:
    with responder("Device", nonsense) as (port, asked):
        found = Search().at(["127.0.0.1"], 0.3, port=port)

    assert len(found.matches) == 1
    assert found.refused == len(asked)


def test_silence_is_nothing_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        seen: list[float] = []
        found = Search().at(["127.0.0.1"], 0.5, seen.append, port=silent.getsockname()[1])

    assert found.matches == []
    assert seen == sorted(seen)
    assert seen[-1] <= 0.5


def test_a_group_is_asked_through_one_interface_and_no_further_than_its_network() -> None:
    loopback = socket.if_nametoindex("lo")
    with multicast_socket(loopback) as sender:
        chosen = sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL)
        assert chosen == 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
            member.bind(("", 0))
            group = struct.pack("@4s4si", socket.inet_aton(GROUP), bytes(4), loopback)
            member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            sender.sendto(b"hello", (GROUP, member.getsockname()[1]))
            member.settimeout(5.0)
            assert member.recv(100) == b"hello"
