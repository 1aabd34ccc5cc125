"""Draws what the gateway makes of a picture, for a person: zones, movement, boxes, tracks. Keeps and sends nothing.

Colours are told apart by people who see red and green alike, and every box has its words.
"""

from collections.abc import Iterable, Sequence
from math import hypot

import cv2
import numpy as np

from edge.video.config import CameraConfig, ZoneConfig
from edge.video.motion import Motion
from edge.video.replay import Found, Look
from edge.video.rules.config import LineConfig
from edge.video.snapshot import Image

Colour = tuple[int, int, int]
"""Blue, green, red."""

ZONE: Colour = (0, 200, 255)
TRACK: Colour = (230, 140, 40)
LINE: Colour = (120, 220, 120)
WEAK: Colour = (160, 160, 160)
MOVEMENT: Colour = (200, 60, 200)
_TEXT: Colour = (255, 255, 255)
_SHADE: Colour = (20, 20, 20)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_zones(image: Image, zones: Iterable[ZoneConfig]) -> None:
    """The zones' sides and names, onto `image` [H,W,3]."""
    height, width = image.shape[:2]
    for zone in zones:
        corners = np.array([[round(x * width), round(y * height)] for x, y in zone.polygon], np.int32)
        cv2.polylines(image, [corners], isClosed=True, color=ZONE, thickness=2, lineType=cv2.LINE_AA)
        lowest = corners[corners[:, 1].argmax()]
        _words(image, zone.id, int(lowest[0]) + 4, int(lowest[1]) - 6, ZONE)


def draw_lines(image: Image, lines: Iterable[LineConfig]) -> None:
    """The lines, and on either side the name of the direction that leads there."""
    height, width = image.shape[:2]
    for line in lines:
        (ax, ay), (bx, by) = ((x * width, y * height) for x, y in line.points)
        cv2.line(image, (round(ax), round(ay)), (round(bx), round(by)), LINE, 2, cv2.LINE_AA)
        _words(image, line.id, round(ax) + 4, round(ay) - 6, LINE)
        length = max(1.0, hypot(bx - ax, by - ay))
        aside_x, aside_y = (by - ay) / length * 24, -(bx - ax) / length * 24  # to the left of who looks from a to b
        middle_x, middle_y = (ax + bx) / 2, (ay + by) / 2
        _words(image, line.to_left, round(middle_x + aside_x), round(middle_y + aside_y), LINE)
        _words(image, line.to_right, round(middle_x - aside_x), round(middle_y - aside_y), LINE)


def draw_movement(image: Image, motion: Motion | None) -> None:
    """Where something moves, tinted."""
    height, width = image.shape[:2]
    for x1, y1, x2, y2 in motion.boxes if motion is not None else ():
        part = image[round(y1 * height) : round(y2 * height), round(x1 * width) : round(x2 * width)]
        part[:] = (part * 0.65 + np.array(MOVEMENT) * 0.35).astype(np.uint8)


def draw_found(image: Image, found: Found) -> None:
    """The detector's boxes: those of tracks with their numbers, the others grey."""
    height, width = image.shape[:2]
    tracks = dict(zip(found.seen.rows, found.seen.ids, strict=True))
    seen = found.detections
    for row, box in enumerate(seen.pixels(width, height).round().astype(int).tolist()):
        colour = TRACK if row in tracks else WEAK
        left, top, right, bottom = box
        cv2.rectangle(image, (left, top), (right, bottom), colour, 2 if row in tracks else 1)
        name = seen.class_names[int(seen.classes[row])]
        track = f"#{tracks[row]} " if row in tracks else ""
        _words(image, f"{track}{name} {seen.scores[row]:.2f}", left, top - 4, colour)
        cv2.circle(image, ((left + right) // 2, bottom), 3, colour, -1)


def draw_look(image: Image, look: Look, camera: CameraConfig, found: Found | None, news: Sequence[str]) -> None:
    """Everything about one frame.

    Args:
        found: what was found last, in this frame or a moment ago.
        news: sentences of the latest events.
    """
    draw_movement(image, look.motion)
    draw_zones(image, camera.zones)
    draw_lines(image, camera.lines)
    if found is not None:
        draw_found(image, found)
    for index, sentence in enumerate(news):
        _words(image, sentence, 8, image.shape[0] - 10 - 20 * index, _TEXT)


def _words(image: Image, text: str, left: int, baseline: int, colour: Colour) -> None:
    (width, height), below = cv2.getTextSize(text, _FONT, 0.45, 1)
    left = max(0, min(left, image.shape[1] - width - 2))
    baseline = max(height + 2, min(baseline, image.shape[0] - below - 1))
    cv2.rectangle(image, (left - 2, baseline - height - 2), (left + width + 2, baseline + below), _SHADE, -1)
    cv2.putText(image, text, (left, baseline), _FONT, 0.45, colour, 1, cv2.LINE_AA)
