"""Copies packets from a camera's ring into one file, and notes from when to when, and where video is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.keeping.fragments import FragmentedFile, Written
from edge.keeping.ring import CameraRing, Numbered
from edge.video.packets import StreamHead, VideoPacket

GAP_S = 2.0
"""A longer silence between two packets is a gap."""
_BEFORE = -1
"""The run of packets that were read from disk."""


@dataclass
class Span:
    """What a file holds, in monotonic seconds. `gaps` are silences within."""

    first_s: float
    last_s: float
    codec: str
    width: int
    height: int
    gaps: list[tuple[float, float]] = field(default_factory=list)

    @property
    def missing_s(self) -> float:
        return sum(end - start for start, end in self.gaps)


class Copy:
    """One file in the making. Used by the writer's thread alone.

    Args:
        number: of the first packet that is wanted.
        aligned: whether the file ends only where a keyframe comes, so that another can follow without a gap.
    """

    def __init__(self, ring: CameraRing, path: Path, number: int, *, aligned: bool) -> None:
        self._ring, self._aligned = ring, aligned
        self.path = path
        self.next_number = number
        self.lost_packets = 0
        self.span: Span | None = None
        self.is_over = False
        self._run = 0
        self._file: FragmentedFile | None = None

    @property
    def size_bytes(self) -> int:
        return self._file.size_bytes if self._file is not None else 0

    def begin_with(self, head: StreamHead, packets: Sequence[VideoPacket]) -> None:
        """Put packets of another source, from a keyframe on, before those of the ring. They must come before `advance`.

        Raises:
            OSError, NotKeepable: as `FragmentedFile` says.
        """
        for packet in packets:
            self._write(packet, _BEFORE, head)

    def advance(self, until_s: float) -> None:
        """Copy what there is, up to `until_s`; `is_over` then tells whether that was reached.

        Raises:
            OSError, NotKeepable: as `FragmentedFile` says.
        """
        while not self.is_over:
            packets = self._ring.read(self.next_number)
            if not packets:
                return
            for numbered in packets:
                if self._ends_before(numbered, until_s):
                    self.is_over = True
                    return
                if self.span is not None:
                    self.lost_packets += numbered.number - self.next_number
                self._write(numbered.packet, numbered.run, numbered.head)
                self.next_number = numbered.number + 1

    def finish(self) -> Written:
        """End the file; call it only if there is a `span`.

        Raises:
            OSError, NotKeepable: as `FragmentedFile` says.
        """
        if self._file is None:
            raise ValueError("nothing was written")
        return self._file.finish()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        if self._file is not None:
            self._file.abandon()

    def _ends_before(self, numbered: Numbered, until_s: float) -> bool:
        if self._file is not None and numbered.run != self._run and not self._file.fits(numbered.head):
            return True
        is_seam = numbered.packet.is_keyframe or not self._aligned
        return numbered.packet.at_s >= until_s and is_seam

    def _write(self, packet: VideoPacket, run: int, head: StreamHead) -> None:
        if self._file is None or self.span is None:
            self._file = FragmentedFile(self.path, head)
            self.span = Span(packet.at_s, packet.at_s, head.codec, head.width, head.height)
        elif packet.at_s - self.span.last_s > GAP_S:
            self.span.gaps.append((self.span.last_s, packet.at_s))
        self._file.write(packet, run, head)
        self.span.last_s = packet.at_s
        self._run = run
