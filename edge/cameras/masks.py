"""Puts a camera's privacy masks into the camera itself, over ONVIF, so that nothing behind them ever leaves it.

Only adds: masks that somebody else set there stay as they are. A polygon that the camera cannot take as it is becomes
the rectangle around it, which hides more and never less. What was written is read back, for cameras may say yes and do
otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.cameras.onvif_camera import OnvifCamera
from edge.onvif.client import Refused
from protocols.onvif_media import Corners, MaskOptions, PrivacyMask

_NEAR = 0.01
_KIND = "Color"


@dataclass(frozen=True)
class Masking:
    """What became of the masks: there already, newly set, and those of others that were left alone."""

    there: int
    written: int
    others: int


def compare(camera: OnvifCamera, source: str, wanted: Sequence[Corners]) -> Masking:
    """Which of the wanted masks the camera has; `written` is how many are missing.

    Raises:
        Unreachable, Untrusted, Unauthorised, ProtocolError.
        Refused: if it has no masks over ONVIF.
    """
    options = _options(camera, source)
    masks = camera.masks(source)
    shapes = [_shape(each, options) for each in wanted]
    there = [shape for shape in shapes if any(mask.enabled and _alike(mask.corners, shape) for mask in masks)]
    others = [mask for mask in masks if not any(_alike(mask.corners, shape) for shape in shapes)]
    return Masking(len(there), len(shapes) - len(there), len(others))


def write(camera: OnvifCamera, source: str, wanted: Sequence[Corners]) -> Masking:
    """Set what is missing.

    Raises:
        Unreachable, Untrusted, Unauthorised, ProtocolError.
        Refused: if it has no masks over ONVIF, has no room for more, or did not do what it said.
    """
    before = compare(camera, source, wanted)
    options = _options(camera, source)
    masks = camera.masks(source)
    for corners in wanted:
        shape = _shape(corners, options)
        same = next((mask for mask in masks if _alike(mask.corners, shape)), None)
        if same is None:
            camera.create_mask(PrivacyMask("", source, shape, enabled=True, kind=_kind(options)))
        elif not same.enabled:
            camera.set_mask(PrivacyMask(same.token, source, shape, enabled=True, kind=same.kind or _kind(options)))
    after = compare(camera, source, wanted)
    if after.written:
        raise Refused(f"the camera took the masks and does not show {after.written} of them; set them at the camera")
    return Masking(before.there, before.written, after.others)


def _options(camera: OnvifCamera, source: str) -> MaskOptions:
    options = camera.mask_options(source)
    if options is None or not options.most:
        raise Refused("the camera takes no privacy masks over ONVIF; set them in its own settings")
    return options


def _kind(options: MaskOptions) -> str:
    """Colour hides surely; what is blurred or coarse may still be made out."""
    return _KIND if _KIND in options.kinds or not options.kinds else options.kinds[0]


def _shape(corners: Corners, options: MaskOptions) -> Corners:
    if not options.rectangles_only and (not options.most_corners or len(corners) <= options.most_corners):
        return corners
    columns, rows = [x for x, _ in corners], [y for _, y in corners]
    left, right, top, bottom = min(columns), max(columns), min(rows), max(rows)
    return (left, top), (right, top), (right, bottom), (left, bottom)


def _alike(one: Corners, other: Corners) -> bool:
    """Whether two polygons have the same corners, wherever they begin and whichever way they go."""
    if len(one) != len(other):
        return False
    return any(
        all(abs(x - u) <= _NEAR and abs(y - v) <= _NEAR for (x, y), (u, v) in zip(one, turned, strict=True))
        for way in (other, other[::-1])
        for turned in (way[start:] + way[:start] for start in range(len(way)))
    )
