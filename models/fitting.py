"""Bring a frame of any size into a network's input, and boxes back into the frame.

The input size and the way of resizing are the manifest's; they matter more than the choice of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from models.detections import Floats, Frame
from models.errors import FrameError
from models.tables import Table

_MAX_SIDE = 4096


class Resize(StrEnum):
    """How a frame of another shape comes into the canvas."""

    STRETCH = "stretch"
    LETTERBOX_TOP_LEFT = "letterbox-top-left"
    LETTERBOX_CENTRE = "letterbox-centre"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a network takes. ``mean`` and ``deviation`` are per channel, in ``colour`` order, on the 0..255 scale."""

    width: int
    height: int
    resize: Resize = Resize.STRETCH
    padding: int = 114
    layout: str = "nhwc"
    dtype: str = "uint8"
    colour: str = "bgr"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0, 1.0)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the input tensor."""
        if self.layout == "nhwc":
            return (1, self.height, self.width, 3)
        return (1, 3, self.height, self.width)


def read_input(table: Table) -> InputSpec:
    """The ``input`` table of a manifest entry.

    Raises:
        ManifestError: a key is missing, wrong or unknown.
    """
    spec = InputSpec(
        width=table.integer("width", 32, _MAX_SIDE),
        height=table.integer("height", 32, _MAX_SIDE),
        resize=Resize(table.choice("resize", [way.value for way in Resize])),
        padding=table.integer("padding", 0, 255) if table.has("padding") else 114,
        layout=table.choice("layout", ["nhwc", "nchw"]),
        dtype=table.choice("dtype", ["uint8", "float32"]),
        colour=table.choice("colour", ["bgr", "rgb"]),
        mean=table.numbers("mean", 3, -255, 255) if table.has("mean") else (0.0, 0.0, 0.0),
        deviation=table.numbers("deviation", 3, 1e-3, 255) if table.has("deviation") else (1.0, 1.0, 1.0),
    )
    table.close()
    if spec.dtype == "uint8" and (table.has("mean") or table.has("deviation")):
        raise table.fault("mean", 'goes with dtype = "float32" only; a uint8 input is normalised inside the network')
    return spec


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the frame lies on the canvas: its corner and its extent, as fractions of the canvas."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def to_frame(self, boxes: Floats) -> Floats:
        """Boxes [N,4] from fractions of the canvas to fractions of the frame, cut at the frame's edge."""
        origin = np.array([self.left, self.top] * 2, np.float32)
        extent = np.array([self.width, self.height] * 2, np.float32)
        result: Floats = np.clip((boxes - origin) / extent, 0, 1).astype(np.float32, copy=False)
        return result


def fit(frame: Frame, spec: InputSpec) -> tuple[npt.NDArray[np.generic], Placement]:
    """The input tensor made from an 8-bit BGR frame [h,w,3], and where the frame lies on the canvas.

    Raises:
        FrameError: the frame is not of that shape and type, or is empty.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.size == 0:
        raise FrameError(f"a frame must be uint8 [height,width,3] and not {frame.dtype} {list(frame.shape)}")
    frame = np.ascontiguousarray(frame)
    if spec.resize is Resize.STRETCH:
        canvas = cv2.resize(frame, (spec.width, spec.height)).astype(np.uint8, copy=False)
        return _tensor(canvas, spec), Placement()
    canvas, placement = _letterbox(frame, spec)
    return _tensor(canvas, spec), placement


def _letterbox(frame: Frame, spec: InputSpec) -> tuple[Frame, Placement]:
    height, width = frame.shape[:2]
    ratio = min(spec.width / width, spec.height / height)
    inner_width, inner_height = max(1, round(width * ratio)), max(1, round(height * ratio))
    centred = spec.resize is Resize.LETTERBOX_CENTRE
    left = (spec.width - inner_width) // 2 if centred else 0
    top = (spec.height - inner_height) // 2 if centred else 0
    canvas = np.full((spec.height, spec.width, 3), spec.padding, np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = cv2.resize(frame, (inner_width, inner_height))
    extent = (width * ratio / spec.width, height * ratio / spec.height)
    return canvas, Placement(left / spec.width, top / spec.height, *extent)


def _tensor(canvas: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.generic]:
    ordered = canvas[:, :, ::-1] if spec.colour == "rgb" else canvas
    picture: npt.NDArray[np.generic] = ordered
    if spec.dtype == "float32":
        picture = (ordered.astype(np.float32) - np.array(spec.mean, np.float32)) / np.array(spec.deviation, np.float32)
    if spec.layout == "nchw":
        picture = picture.transpose(2, 0, 1)
    return np.ascontiguousarray(picture[None])
