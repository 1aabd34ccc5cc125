"""A message is taken from the buffer only if all of it is there; the reader and paho's own agree on the bytes."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.client import Published, read_publish

PINGRESP = b"\xd0\x00"


def packet(message: Published, flags: int = 0) -> bytes:
    """MQTT 3.1.1, section 3.3, written out."""
    topic = message.topic.encode()
    body = struct.pack(">H", len(topic)) + topic
    body += struct.pack(">H", message.packet_id) if message.qos else b""
    body += message.payload
    rest, length = len(body), b""
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | (128 if rest else 0)])
        if not rest:
            return bytes([0x30 | message.qos << 1 | flags]) + length + body


messages = st.builds(
    lambda topic, payload, number, qos: Published(topic, payload, number if qos else 0, qos),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.binary(max_size=40) | st.sampled_from([b"x" * 127, b"x" * 16_384, b"x" * 100_000]),
    st.integers(1, 65_535),
    st.sampled_from([0, 1]),
)


@given(before=st.binary(max_size=5), message=messages, after=st.binary(max_size=5), flags=st.sampled_from([0, 1, 8, 9]))
def test_a_whole_message_is_read_wherever_it_lies(before: bytes, message: Published, after: bytes, flags: int) -> None:
    data = before + packet(message, flags) + after
    assert read_publish(data, len(before)) == (message, len(data) - len(after))


@given(message=messages, data=st.data())
def test_a_part_of_a_message_is_left_to_whoever_reads_on(message: Published, data: st.DataObject) -> None:
    whole = packet(message)
    assert read_publish(whole[: data.draw(st.integers(0, len(whole) - 1))], 0) is None


def test_other_packets_are_left_to_paho() -> None:
    assert read_publish(PINGRESP, 0) is None
    assert read_publish(packet(Published("t", b"", 1, 1), flags=4), 0) is None  # QoS 2 or 3


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    found = read_publish(data, 0)
    assert found is None or 0 < found[1] <= len(data)
