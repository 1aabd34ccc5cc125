"""WS-Discovery as ONVIF cameras speak it: a probe as one datagram out, the devices in an answer in.

Standards: Web Services Dynamic Discovery (April 2005), ONVIF Core Specification, section 7. No sockets: what was
answered, and from where, is passed in. Of the addresses that a device advertises the one with the host that answered
is taken; another host is never believed, so that a forged answer leads nowhere else.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from uuid import UUID

from protocols.xml_reading import Element, read_xml

GROUP = "239.255.255.250"
PORT = 3702
MAX_DATAGRAM_BYTES = 65_507
MAX_MATCHES = 32
"""Devices in one answer; a camera tells of itself alone."""

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_WSD = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_TYPES = {
    "NetworkVideoTransmitter": "http://www.onvif.org/ver10/network/wsdl",
    "Device": "http://www.onvif.org/ver10/device/wsdl",
}
PROBED_TYPES = tuple(_TYPES)
"""Old devices answer to the first alone, some newer ones to the second."""

_SCOPE = re.compile(r"^onvif://www\.onvif\.org/(name|hardware|location)/(.+)\Z")
_MAX_TEXT = 80


@dataclass(frozen=True)
class Match:
    """A device that answered. `path` is of its device service; texts are its own words, empty where it says nothing."""

    endpoint: str
    host: str
    port: int
    https: bool
    path: str
    name: str
    hardware: str
    location: str

    @property
    def address(self) -> str:
        """Where its device service is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.https else 'http'}://{host}:{self.port}{self.path}"


def probe(message_id: UUID, kind: str) -> bytes:
    """The datagram that asks for devices of a kind of `PROBED_TYPES`."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="{_SOAP}" xmlns:w="{_WSA}" xmlns:d="{_WSD}" '
        f'xmlns:n="{_TYPES[kind]}"><e:Header><w:MessageID>urn:uuid:{message_id}</w:MessageID>'
        f'<w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>'
        f'<w:Action e:mustUnderstand="true">{_WSD}/Probe</w:Action></e:Header>'
        f"<e:Body><d:Probe><d:Types>n:{kind}</d:Types></d:Probe></e:Body></e:Envelope>"
    ).encode()


def read_matches(datagram: bytes, sender: str) -> tuple[Match, ...]:
    """The devices in an answer that came from the address `sender`; none in what is no answer to a probe.

    Raises:
        ProtocolError: if it is no well-formed XML, or of no sensible size.
    """
    body = read_xml(datagram).child("Body")
    if body is None:
        return ()
    matches = body.child("ProbeMatches") or body  # some devices leave the plural out
    found = (_match(each, sender) for each in list(matches.all("ProbeMatch"))[:MAX_MATCHES])
    return tuple(match for match in found if match is not None)


def _match(element: Element, sender: str) -> Match | None:
    where = _where(element.text_of("XAddrs").split(), sender)
    if where is None:
        return None
    port, https, path = where
    words = {}
    for scope in element.text_of("Scopes").split()[:100]:
        scoped = _SCOPE.match(scope)
        if scoped is not None:
            words[scoped[1]] = _shown(unquote(scoped[2]))
    endpoint = _shown(element.text_of("EndpointReference", "Address")) or f"{sender}:{port}"
    texts = (words.get(name, "") for name in ("name", "hardware", "location"))
    return Match(endpoint, sender, port, https, path, *texts)


def _where(addresses: list[str], sender: str) -> tuple[int, bool, str] | None:
    """Port, HTTPS or not, and path: of the address with the sender's host, or of the first that can be asked."""
    kept = None
    for address in addresses[:16]:
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            continue
        sound = len(parts.path) <= 200 and parts.path.isascii() and parts.path.isprintable()
        if parts.scheme not in ("http", "https") or not parts.path.startswith("/") or not sound:
            continue
        https = parts.scheme == "https"
        where = (port or (443 if https else 80), https, parts.path)
        if parts.hostname == sender:
            return where
        kept = kept or where
    return kept


def _shown(text: str) -> str:
    """What a device says of itself, fit for a terminal: one line, printable, not long."""
    return "".join(each if each.isprintable() else " " for each in text).strip()[:_MAX_TEXT]
