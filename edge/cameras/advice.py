"""What is good and bad about a stream for this gateway, in plain words, and the site file's lines for a camera.

Each sentence of a fault says what to set at the camera. The limits are those of `docs/video.md`: the detector sees a
picture of 416x256, analysis looks five times a second, and a quiet camera is seen by its keyframes alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.measuring import Measured

LEAST_HEIGHT, MOST_HEIGHT = 288, 800
LEAST_FPS, MOST_FPS = 4.5, 20.0
GOOD_KEYFRAMES_S, WORST_KEYFRAMES_S = 2.6, 4.2
MOST_KBPS = 2500.0
MOST_CLOCK_S = 2.0


@dataclass(frozen=True)
class Verdict:
    """One thing about a stream or camera, good or bad."""

    good: bool
    sentence: str


def verdicts(stream: Measured) -> list[Verdict]:
    """What is to be said of a stream from which people and vehicles are to be detected."""
    found = [_codec(stream), _size(stream), _rate(stream), _keyframes(stream)]
    if stream.bitrate_kbps > MOST_KBPS and stream.height <= MOST_HEIGHT:
        found.append(Verdict(False, f"{stream.bitrate_kbps:.0f} kbit/s is much for this size: 512 to 1024 is enough"))
    if stream.damaged:
        found.append(Verdict(False, f"{stream.damaged} damaged pictures: look at the cable, the switch and the Wi-Fi"))
    return found


def clock_verdict(offset_s: float | None) -> Verdict:
    """What is to be said of a camera's clock, `offset_s` ahead of ours."""
    if offset_s is None:
        return Verdict(False, "it does not tell its time: look at its clock by hand, and set NTP")
    if abs(offset_s) <= MOST_CLOCK_S:
        return Verdict(True, "its clock agrees with ours")
    direction = "ahead of" if offset_s > 0 else "behind"
    return Verdict(False, f"its clock is {_duration(abs(offset_s))} {direction} ours: set NTP at the camera")


def best_for_detection(streams: Sequence[Measured | None]) -> int | None:
    """Which stream to take: one without a fault, else with the fewest; then the nearest to 576 rows."""
    ranked = [
        (sum(not each.good for each in verdicts(stream)), abs(stream.height - 576), index)
        for index, stream in enumerate(streams)
        if stream is not None
    ]
    return min(ranked)[2] if ranked else None


def site_lines(
    identity: str,
    url: str,
    username: str | None,
    *,
    main_url: str | None = None,
    onvif_port: int | None = None,
    https: bool = False,
) -> str:
    """The `[[camera]]` for the site file, with one zone over the whole picture to begin with.

    Args:
        identity: the camera's id.
        url: its stream's address, without an account.
        main_url: that of its full-size stream, kept as evidence.
        onvif_port: its ONVIF service's; None if it has none.
    """
    lines = ["[[camera]]", f'id = "{identity}"', 'place = "change-me"   # the register\'s code of what it sees']
    lines.append(f'url = "{url}"')
    if main_url is not None:
        lines.append(f'main_url = "{main_url}"')
    if username is not None:
        secret = Path("/etc/gatehouse/keys") / f"{identity}.password"
        lines += [f'username = "{username}"', f'password_file = "{secret}"   # chmod 600']
    if onvif_port is not None:
        lines += ["[camera.onvif]", f"port = {onvif_port}", *(["https = true"] if https else [])]
    lines += ["[[camera.zone]]", f'id = "z-{identity}"', "polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]"]
    return "\n".join(lines)


def camera_id(name: str) -> str:
    """An id made of what a camera calls itself, or of its address."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"c-{words}"[:40].rstrip("-") if words else "c-camera"


def _codec(stream: Measured) -> Verdict:
    if stream.codec == "h264":
        return Verdict(True, "H.264: cheap to decode, shown by every browser")
    if stream.codec == "hevc":
        return Verdict(False, "H.265 costs twice as much to decode, and few browsers show it: set it to H.264")
    return Verdict(False, f"{stream.codec} costs much bandwidth: set the sub stream to H.264")


def _size(stream: Measured) -> Verdict:
    size = f"{stream.width}x{stream.height}"
    if stream.height < LEAST_HEIGHT:
        return Verdict(False, f"{size} is too small to see people far away: choose 640x360 to 704x576")
    if stream.height > MOST_HEIGHT:
        return Verdict(False, f"{size} costs much to decode and finds no more: take the sub stream, 640x360 to 704x576")
    return Verdict(True, f"{size}: enough to see people, cheap to decode")


def _rate(stream: Measured) -> Verdict:
    rate = f"{stream.fps:.3g} frames a second"
    if stream.fps < LEAST_FPS:
        return Verdict(False, f"{rate} is too few to follow somebody who walks: set 8 to 12")
    if stream.fps > MOST_FPS:
        return Verdict(False, f"{rate} is more than is ever looked at: 8 to 12 saves bandwidth and decoding")
    return Verdict(True, rate)


def _keyframes(stream: Measured) -> Verdict:
    every_s = stream.keyframe_every_s
    frames = round(2 * stream.fps)
    if every_s is None:
        told = f"fewer than two keyframes in {stream.seconds:.0f} s"
    elif every_s <= GOOD_KEYFRAMES_S:
        return Verdict(True, f"a keyframe every {every_s:.2g} s")
    else:
        told = f"a keyframe every {every_s:.2g} s"
    remedy = f"set the I-frame interval to {frames} frames (2 s), and smart codec (H.264+, H.265+, U-Code) off"
    late = "is seen late" if every_s is not None and every_s <= WORST_KEYFRAMES_S else "may be missed"
    return Verdict(False, f"{told}: what begins in a quiet picture {late}; {remedy}")


def _duration(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
