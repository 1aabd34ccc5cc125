"""Multipart bodies: parts in pieces of any size, pictures that are never held, and everything that is not multipart."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import ProtocolError
from protocols.isapi import is_message
from protocols.multipart import MAX_HEADER_BYTES, MultipartReader, Part, Skipped, boundary_of

JSON = b'--MIME_boundary\r\nContent-Type: application/json; charset="UTF-8"\r\nContent-Length: 9\r\n\r\n{"a":"b"}\r\n'
PICTURE = (
    b"--MIME_boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 20\r\n\r\n\xff\xd8--MIME_boundary--\xff\xd9\r\n"
)
XML_WITHOUT_LENGTH = b"--MIME_boundary\r\nContent-Type: application/xml\r\n\r\n<a>--MIME_boundary</a>\r\n"
PICTURE_WITHOUT_LENGTH = b"--MIME_boundary\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xd9\r\n"
END = b"--MIME_boundary--\r\n"


def reader(**limits: int) -> MultipartReader:
    return MultipartReader("MIME_boundary", is_message, **limits)


def read(data: bytes, sizes: int = 1 << 20, **limits: int) -> list[Part | Skipped]:
    multipart, parts = reader(**limits), []
    for start in range(0, len(data), sizes):
        parts += multipart.receive(data[start : start + sizes])
    return parts


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 64, 1000])
def test_parts_come_out_whole_whatever_the_pieces(size: int) -> None:
    parts = read(b"\r\n" + JSON + PICTURE + XML_WITHOUT_LENGTH + PICTURE_WITHOUT_LENGTH + JSON, size)

    kinds = [part.body if isinstance(part, Part) else part.byte_count for part in parts]
    assert kinds[:3] == [b'{"a":"b"}', 20, b"<a>--MIME_boundary</a>"]
    assert kinds[4:] == [b'{"a":"b"}']
    assert isinstance(parts[3], Skipped)


def test_a_part_without_length_is_complete_with_the_next_delimiter_and_one_with_length_at_once() -> None:
    multipart = reader()

    assert len(multipart.receive(JSON.removesuffix(b"\r\n"))) == 1
    assert not multipart.receive(b"\r\n" + XML_WITHOUT_LENGTH)
    assert len(multipart.receive(b"--MIME_boundary\r\n")) == 1


def test_an_empty_part_without_length_is_an_empty_part() -> None:
    assert read(b"--MIME_boundary\r\nContent-Type: text/xml\r\n\r\n" + END) == [Part({"content-type": "text/xml"}, b"")]


def test_nothing_is_read_after_the_closing_delimiter() -> None:
    multipart = reader()

    assert multipart.receive(END + JSON) == []
    assert multipart.ended
    assert multipart.held_bytes == 0


def test_a_wrong_length_costs_one_part_and_not_the_stream() -> None:
    short = JSON.replace(b"Content-Length: 9", b"Content-Length: 4")

    assert [part.body for part in read(short + JSON) if isinstance(part, Part)] == [b'{"a"', b'{"a":"b"}']


def test_a_picture_is_thrown_away_as_it_comes() -> None:
    multipart = reader()
    multipart.receive(b"--MIME_boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 8000000\r\n\r\n")
    piece = bytes(80_000)

    tracemalloc.start()
    for _ in range(100):
        parts = multipart.receive(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert parts == [Skipped({"content-type": "image/jpeg", "content-length": "8000000"}, 8_000_000)]
    assert multipart.held_bytes == 0
    assert peak < 1_000_000


def test_a_picture_without_length_holds_no_more_than_a_delimiter() -> None:
    multipart = reader()
    multipart.receive(b"--MIME_boundary\r\nContent-Type: image/jpeg\r\n\r\n")
    for _ in range(50):
        multipart.receive(bytes(100_000))
        assert multipart.held_bytes < 40


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"--MIME_boundary\r\nContent-Type: text/xml\r\nContent-Length: 1001\r\n\r\n", id="stated length"),
        pytest.param(b"--MIME_boundary\r\nContent-Type: text/xml\r\n\r\n" + b"<" * 1100, id="no length"),
        pytest.param(
            b"--MIME_boundary\r\nContent-Type: image/png\r\nContent-Length: 5001\r\n\r\n", id="stated picture"
        ),
        pytest.param(b"--MIME_boundary\r\nContent-Type: image/png\r\n\r\n" + bytes(5100), id="picture without length"),
        pytest.param(bytes(5100), id="a preamble without end"),
        pytest.param(b"--MIME_boundary" + b" " * 300, id="a delimiter's line without end"),
        pytest.param(b"--MIME_boundary\r\n" + b"X: y\r\n" * (MAX_HEADER_BYTES // 6 + 2), id="headers without end"),
        pytest.param(b"--MIME_boundary\r\n" + b"X" * MAX_HEADER_BYTES + b"X\r\n\r\n", id="long headers"),
    ],
)
@pytest.mark.parametrize("size", [13, 1 << 20])
def test_what_is_over_a_limit_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(ProtocolError):
        read(data, size, max_part_bytes=1000, max_skipped_bytes=5000)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed; boundary=MIME_boundary", "MIME_boundary"),
        ('multipart/form-data; charset=utf-8; boundary="a b"', "a b"),
        ("Multipart/Mixed;Boundary=--x", "--x"),
    ],
)
def test_the_boundary_is_read(content_type: str, boundary: str) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain; boundary=x",
        "multipart/mixed",
        "multipart/mixed; boundary=",
        "multipart/mixed; boundary=" + "x" * 71,
        'multipart/mixed; boundary="' + "x" * 71 + '"',
        "multipart/mixed; boundary=é",
        'multipart/mixed; boundary="x\r\ny"',
    ],
)
def test_a_bad_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(ProtocolError):
        boundary_of(content_type)


@given(
    st.lists(st.tuples(st.binary(max_size=200), st.booleans(), st.booleans()), max_size=6),
    st.integers(min_value=1, max_value=300),
)
def test_what_was_written_is_read(bodies: list[tuple[bytes, bool, bool]], size: int) -> None:
    data, wanted = b"", []
    for body, message, counted in bodies:
        plain = body.replace(b"-", b"").replace(b"\r", b"")  # no delimiter within, no line end lost at its edge
        kind = b"application/json" if message else b"image/jpeg"
        length = b"Content-Length: %d\r\n" % len(plain) if counted else b""
        data += b"--MIME_boundary\r\nContent-Type: " + kind + b"\r\n" + length + b"\r\n" + plain + b"\r\n"
        wanted += [plain] if message else []

    parts = read(data + END, size)

    assert [part.body for part in parts if isinstance(part, Part)] == wanted
    assert len(parts) == len(bodies)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_no_bytes_crash_it(pieces: list[bytes]) -> None:
    multipart = reader(max_part_bytes=500, max_skipped_bytes=2000)
    try:
        for piece in pieces:
            multipart.receive(piece)
            assert multipart.held_bytes <= 9000
    except ProtocolError:
        pass


def test_fuzz_no_mutation_of_a_stream_crashes_it_or_lets_a_picture_out() -> None:
    source = JSON + PICTURE.replace(b"--MIME_boundary--", b"\xee" * 17) + XML_WITHOUT_LENGTH + PICTURE_WITHOUT_LENGTH
    rng = random.Random(20261123)
    survived = 0
    for _ in range(20_000):
        data = bytearray(source * 2)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[place] = rng.randrange(256)
                case 1:
                    del data[place : place + rng.randrange(40)]
                case _:
                    data[place:place] = source[: rng.randrange(60)]
        try:
            for part in read(bytes(data), rng.randint(1, 400), max_part_bytes=1000, max_skipped_bytes=1000):
                survived += 1
                assert isinstance(part, Skipped) or len(part.body) <= 1000
        except ProtocolError:
            pass
    assert survived > 20_000
