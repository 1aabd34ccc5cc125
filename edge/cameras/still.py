"""One picture of a camera, as the gateway sees it, for a person who sets it up. Kept nowhere."""

from edge.video.config import CameraConfig
from edge.video.drawing import draw_lines, draw_zones
from edge.video.errors import StreamFault
from edge.video.footage import Footage, bgr_of
from edge.video.masks import black_out
from edge.video.snapshot import Image, Jpeg, encode
from protocols.events import CameraFault

MOST_BYTES, MOST_SIDE = 4_000_000, 4096
_SETTLE = 5
"""The first pictures of some encoders are grey or torn."""


def take_still(camera: CameraConfig, *, with_zones: bool) -> Jpeg:
    """The camera's picture now, in its own size.

    Raises:
        VideoError: if the camera gives none (StreamFault), or its password cannot be read.
    """
    image = grab(camera)
    if with_zones:
        draw_zones(image, camera.zones)
        draw_lines(image, camera.lines)
    return encode(image, MOST_BYTES, MOST_SIDE)


def grab(camera: CameraConfig) -> Image:
    """The camera's picture now, BGR [H,W,3], its privacy masks painted black.

    Raises:
        VideoError: as `take_still`.
    """
    newest = None
    with Footage(camera.stream()) as footage:
        for count, (frame, _) in enumerate(footage.frames(), start=1):
            newest = frame
            if count == _SETTLE:
                break
    if newest is None:
        raise StreamFault(CameraFault.SILENT, "no picture came")
    return black_out(bgr_of(newest), camera.privacy_mask)
