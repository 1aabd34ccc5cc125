"""Fragmented MP4 of a camera's own packets: written forward only, hashed on the way, whole up to its last fragment.

Source: ISO/IEC 14496-12, section 8.8 (movie fragments). FFmpeg's muxer writes it; `whole_length` finds, after a crash,
where the last whole fragment ends. Because nothing written is ever changed, the SHA-256 of the file is known at once.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from edge.durable import sync_folder
from edge.keeping.elementary import ByteStream
from edge.keeping.errors import NotKeepable
from edge.video.packets import StreamHead, VideoPacket

if TYPE_CHECKING:  # a missing video library costs the clips, never the doors
    import av.container
    import av.stream

CODECS = ("h264", "hevc", "mjpeg")
FRAGMENT_S = 2.0
"""A fragment ends at a keyframe, or after this long: what a crash can cost."""
TICKS_PER_S = 90_000
_STRAY_S = 3.0
"""So far may a camera's time stamps run away from the gateway's clock before they are set anew."""


@dataclass(frozen=True)
class Written:
    """A finished file."""

    size_bytes: int
    sha256: str


class _Timeline:
    """Ticks in the file for a camera's packets: the camera's spacing within a connection, the clock's across gaps."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._run: int | None = None
        self._anchor = (0, 0, 0.0)
        self._last = -1

    def place(self, packet: VideoPacket, run: int, time_base: Fraction) -> tuple[int, int]:
        """Decoding and presentation time in 1/90000 s from the file's beginning; the former always rises."""
        if self._first_s is None:
            self._first_s = packet.at_s
        passed = packet.at_s - self._first_s
        camera_dts, ticks, at_s = self._anchor
        dts = ticks + int((packet.dts - camera_dts) * time_base * TICKS_PER_S)
        strays = abs((dts - ticks) / TICKS_PER_S - (packet.at_s - at_s)) > _STRAY_S
        if run != self._run or strays:
            self._run = run
            dts = round(passed * TICKS_PER_S)
            dts = max(dts, self._last + 1)
            self._anchor = (packet.dts, dts, packet.at_s)
        dts = max(dts, self._last + 1)
        self._last = dts
        ahead = max(0, int((packet.pts - packet.dts) * time_base * TICKS_PER_S))
        return dts, dts + ahead


def packets_in(path: Path, first_s: float, since_s: float, before_s: float) -> tuple[StreamHead, list[VideoPacket]]:
    """What a file of ours holds, also one that is still being written, from the keyframe at or before `since_s` on.

    Args:
        first_s: when the file's first packet came, monotonic seconds.
        before_s: packets from this moment on are left out.

    Raises:
        OSError, ValueError: if it cannot be read.
    """
    import av

    packets: list[VideoPacket] = []
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        context, base = video.codec_context, Fraction(video.time_base or Fraction(1, TICKS_PER_S))
        head = StreamHead(context.name, context.width, context.height, context.extradata or b"", base)
        for packet in container.demux(video):
            if packet.size and packet.dts is not None:
                dts, pts = packet.dts, packet.dts if packet.pts is None else packet.pts
                at_s = first_s + float(dts * base)
                if at_s >= before_s:
                    break
                if packet.is_keyframe and at_s <= since_s:
                    packets.clear()
                packets.append(VideoPacket(bytes(packet), pts, dts, packet.is_keyframe, at_s))
    return head, packets


class _HashingFile:
    """What FFmpeg writes to: forward only, no seeking."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Called by FFmpeg; a failure is kept, since FFmpeg passes on a number alone."""
        view = memoryview(data)
        try:
            while view:
                done = os.write(self._descriptor, view)
                self._hash.update(view[:done])
                self.size_bytes += done
                view = view[done:]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def written(self) -> Written:
        return Written(self.size_bytes, self._hash.hexdigest())


class FragmentedFile:
    """One file in the making. Packets come in decoding order, the first being a keyframe.

    Raises:
        NotKeepable: if this kind of stream cannot be kept.
        OSError: if the disk refuses.
    """

    def __init__(self, path: Path, head: StreamHead) -> None:
        if head.codec not in CODECS:
            raise NotKeepable(f"{head.codec} video is not kept: set the camera to H.264 or H.265")
        self._head = head
        self._bytes_of = ByteStream(head)
        self._timeline = _Timeline()
        self._packets = 0
        self._last_dts = 0
        self._step = TICKS_PER_S // 10
        self._file = _HashingFile(path)
        try:
            self._mux, self._stream = _open_mux(self._file, head)
        except (ImportError, OSError, ValueError) as error:  # FFmpeg's errors are among the last two
            self._file.close()
            raise self._file.error or NotKeepable(f"{head.codec} cannot be written: {error}") from error

    @property
    def size_bytes(self) -> int:
        """What the disk has of it so far."""
        return self._file.size_bytes

    def write(self, packet: VideoPacket, run: int, head: StreamHead) -> None:
        """Add a packet of a head that `fits`; `run` is another number after each loss of the connection.

        Raises:
            OSError: if the disk refuses.
            NotKeepable: if FFmpeg does.
        """
        if head is not self._head:
            self._head, self._bytes_of = head, ByteStream(head)
        data = self._bytes_of.next(packet.data) if self._packets else self._bytes_of.first(packet.data)
        dts, pts = self._timeline.place(packet, run, self._head.time_base)
        if self._packets:
            self._step = dts - self._last_dts
        self._last_dts = dts
        self._packets += 1
        from av import Packet

        muxed = Packet(data)
        muxed.dts, muxed.pts, muxed.duration = dts, pts, self._step
        muxed.time_base = Fraction(1, TICKS_PER_S)
        muxed.is_keyframe = packet.is_keyframe
        muxed.stream = self._stream
        self._do(lambda: self._mux.mux_one(muxed))

    def fits(self, head: StreamHead) -> bool:
        """Whether packets of another connection can go on in this file: the same size and parameter sets."""
        mine = self._head
        if head is mine:
            return True
        if (head.codec, head.width, head.height) != (mine.codec, mine.width, mine.height):
            return False
        try:
            theirs, ours = ByteStream(head).sets, self._bytes_of.sets
        except NotKeepable:
            return False
        return not theirs or not ours or set(theirs) == set(ours)

    def finish(self) -> Written:
        """End the file and make it durable.

        Raises:
            OSError: if the disk refuses.
            NotKeepable: if FFmpeg does.
        """
        try:
            self._do(self._mux.close)
            self._file.sync()
        finally:
            self._file.close()
        return self._file.written()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        with contextlib.suppress(Exception):
            self._mux.close()
        self._file.close()

    def _do(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError) as error:  # all errors of FFmpeg are one or the other
            if self._file.error is not None:
                raise self._file.error from None
            raise NotKeepable(f"{self._head.codec}: {type(error).__name__}") from error


def _open_mux(file: _HashingFile, head: StreamHead) -> "tuple[av.container.OutputContainer, av.stream.Stream]":
    import av

    options = {
        "movflags": "frag_keyframe+empty_moov+delay_moov+default_base_moof",
        "frag_duration": str(int(FRAGMENT_S * 1_000_000)),
    }
    mux = av.open(file, "w", format="mp4", options=options)
    stream = mux.add_mux_stream(
        head.codec, width=head.width, height=head.height, time_base=Fraction(1, TICKS_PER_S)
    )  # the parameter sets are read from the first packet, hence `delay_moov`
    return mux, stream


_HEAD_BYTES, _LONG_HEAD_BYTES = 8, 16


def whole_length(path: Path) -> int:
    """How many bytes of a file that a crash cut off are whole fragments; 0 if there is none."""
    size_bytes = path.stat().st_size
    whole = position = 0
    has_movie = False
    with path.open("rb") as file:
        while position + _HEAD_BYTES <= size_bytes:
            file.seek(position)
            length, kind = _box(file.read(_LONG_HEAD_BYTES))
            if length < _HEAD_BYTES or position + length > size_bytes:
                break
            position += length
            has_movie = has_movie or kind == b"moov"
            if has_movie and kind in (b"mdat", b"mfra"):
                whole = position
    return whole


def _box(head: bytes) -> tuple[int, bytes]:
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    return length, head[4:8]


def cut_to_whole(path: Path) -> Written | None:
    """Cut a file that a crash left to its whole fragments and hash it; None, and it is deleted, if it has none.

    Raises:
        OSError: if the disk refuses.
    """
    length = whole_length(path)
    if not length:
        path.unlink()
        return None
    os.truncate(path, length)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    sync_folder(path.parent)
    return Written(length, digest)


def described(path: Path) -> tuple[str, float]:
    """FFmpeg's name of the codec and the seconds of a file; ("", 0.0) if it cannot be read."""
    import av

    try:
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context.name
            return codec, float(container.duration or 0) / av.time_base
    except (OSError, ValueError, IndexError):
        return "", 0.0
