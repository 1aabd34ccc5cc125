"""The packets of a connection as one byte stream (annex B), which is what a file is written from."""

from edge.keeping.errors import NotKeepable
from edge.video.packets import StreamHead
from protocols.base import ProtocolError
from protocols.nal_units import SETS, join_stream, read_configuration, set_types, split_prefixed


class ByteStream:
    """Turns a connection's packets into annex B units with the parameter sets before the first.

    Other codecs (MJPEG) pass as they are.

    Raises:
        NotKeepable: if the head's configuration is broken.
    """

    def __init__(self, head: StreamHead) -> None:
        self._codec = head.codec
        try:
            configuration = read_configuration(head.codec, head.extradata)
        except ProtocolError as error:
            raise NotKeepable(str(error)) from error
        self._length_bytes = configuration.length_bytes
        self.sets = configuration.sets
        """The parameter sets that the head holds."""

    def first(self, data: bytes) -> bytes:
        """The packet that begins a file: a keyframe with its parameter sets before it.

        Raises:
            NotKeepable: if neither the head nor the packet holds them.
        """
        stream = self.next(data)
        if self._is_whole(stream):
            return stream
        whole = join_stream(self.sets) + stream
        if not self._is_whole(whole):
            raise NotKeepable("the stream has no parameter sets")
        return whole

    def next(self, data: bytes) -> bytes:
        """Any other packet."""
        return join_stream(split_prefixed(data, self._length_bytes)) if self._length_bytes else data

    def _is_whole(self, stream: bytes) -> bool:
        return self._codec not in SETS or SETS[self._codec] == set_types(self._codec, stream)
