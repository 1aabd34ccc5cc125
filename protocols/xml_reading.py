"""Reading XML that a device sent: elements and text alone, bounded in every direction, no document type whatsoever.

A document type is what makes entities, and so expansion and outside references, possible; it is refused as the parser
meets it, in any encoding. Names keep their namespace, but are compared by their local part: devices spell namespaces in
many ways.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from protocols.base import ProtocolError

MAX_XML_BYTES = 1024 * 1024
MAX_ELEMENTS = 20_000
MAX_DEPTH = 40


@dataclass
class Element:
    """One element; `text` is all of its own text, without white space around it."""

    name: str
    """Its local name."""
    namespace: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    """By local name."""
    children: "list[Element]" = field(default_factory=list)
    text: str = ""

    def child(self, *path: str) -> "Element | None":
        """The first child with this local name, and of that the first with the next, and so on."""
        found: Element | None = self
        for name in path:
            found = next((each for each in found.children if each.name == name), None) if found else None
        return found

    def text_of(self, *path: str) -> str:
        """The text of the child at a path; empty if it is not there."""
        found = self.child(*path)
        return "" if found is None else found.text

    def all(self, name: str) -> "Iterator[Element]":
        """Its children with this local name."""
        return (each for each in self.children if each.name == name)


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise ProtocolError(f"XML of more than {MAX_ELEMENTS} elements, or deeper than {MAX_DEPTH}")
        namespace, _, local = name.rpartition(" ")
        element = Element(local, namespace, {key.rpartition(" ")[2]: value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def data(self, text: str) -> None:
        self._texts[-1].append(text)


def read_xml(data: bytes) -> Element:
    """The root element of a document.

    Raises:
        ProtocolError: if it is not well formed, too large, too deep, or has a document type.
    """
    if len(data) > MAX_XML_BYTES:
        raise ProtocolError(f"XML of more than {MAX_XML_BYTES} bytes")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)
    except ProtocolError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        # an encoding that Python does not know is a LookupError, one of several bytes a ValueError
        raise ProtocolError(f"no well-formed XML: {error}") from None
    if builder.root is None:
        raise ProtocolError("no XML element")
    return builder.root


def _refuse_doctype(_name: str, _system: str | None, _public: str | None, _subset: bool) -> None:
    raise ProtocolError("XML with a document type is refused")
