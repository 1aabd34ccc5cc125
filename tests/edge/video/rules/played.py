"""A clip through a camera's whole pipeline (decoder, motion gate, our detector, tracker, rules) beside its doors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from edge.clock import Moment
from edge.door_news import DoorNews
from edge.observations import Observation
from edge.video.config import CameraConfig
from edge.video.replay import Happening, Pipeline, looks
from edge.video.rules.surroundings import Surroundings
from models import load_detector
from protocols.access_events import AccessGranted, AccessMethod
from tests.edge.video.rules.scenes import Data

GRANTED = AccessGranted(
    reader="r-in",
    method=AccessMethod.CARD,
    credential=UUID("017f22e2-79b0-7cc3-98c4-dc0c0c073991"),
    policy_version=1,
    decision_us=9,
)


def play(clip: Path, camera: CameraConfig, news: Iterable[tuple[float, str, Any]] = ()) -> list[Happening]:
    """What the camera's rules tell of a clip.

    Args:
        clip: what it sees.
        camera: its zones, lines and rules.
        news: what doors tell: the second of the clip, the door, the event's data.
    """
    doors = DoorNews(lambda observation: None)
    pipeline = Pipeline(camera, load_detector("nanodet-g-416x256-int8"), surroundings=Surroundings(doors=doors))
    waiting = sorted(news, key=lambda each: each[0])
    happened: list[Happening] = []
    for look in looks(clip, pipeline):
        happened += look.happenings
        while waiting and waiting[0][0] <= look.at_s:
            at_s, door, data = waiting.pop(0)
            doors(Observation(door, "gate-east", data, Moment(at_s, at_s)))
    return [*happened, *pipeline.end()]


def of(happened: Iterable[Happening], kind: type[Data], rule: str | None = None) -> list[tuple[float, Data]]:
    """The events of a type, of one rule perhaps, with the second at which they were told."""
    return [
        (each.at_s, each.data)
        for each in happened
        if isinstance(each.data, kind) and rule in (None, getattr(each.data, "rule", None))
    ]
