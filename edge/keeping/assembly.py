"""Makes the keeping of a gateway from its site file."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.clock import Clock
from edge.config import SiteConfig
from edge.counters import Counters
from edge.hub_http import HubHttp
from edge.keeping.clips import Seen
from edge.keeping.config import MIB
from edge.keeping.index import Grade
from edge.keeping.service import Keeping, KeptCamera, cameras_by_device
from edge.keeping.upload import ClipUploads
from edge.observations import Recorder
from edge.video.config import CameraConfig
from edge.video.packets import PacketSink
from protocols.ids import UuidV7Maker

if TYPE_CHECKING:
    from edge.video.sightings import SightingSink

INDEX_FILE = "video.db"
_KIB = 1024


def video_folder(config: SiteConfig) -> Path:
    """Where a site's video lies."""
    return config.keeping.folder or config.gateway.state_dir / "video"


def make_keeping(
    config: SiteConfig, gateway: str, record: Recorder, clock: Clock, counters: Counters
) -> Keeping | None:
    """The keeping of all cameras; None if there is no camera of which anything is kept."""
    cameras = [
        KeptCamera(
            camera.id,
            camera.place,
            camera.record,
            camera.keep_days,
            camera.keep_mib * MIB if camera.keep_mib is not None else None,
            _is_unmasked(camera),
        )
        for camera in config.video.cameras
    ]
    if all(camera.choice == "none" for camera in cameras):
        return None
    access = config.access
    places = {door.id: door.place for door in access.door}
    places |= {reader.id: access.place_of(reader.id) for reader in access.reader}
    return Keeping(
        config.keeping,
        cameras,
        cameras_by_device(cameras, places),
        config.gateway.state_dir / INDEX_FILE,
        video_folder(config),
        record,
        UuidV7Maker(clock.wall_s, os.urandom),
        Seen(gateway, config.gateway.place),
        clock,
        counters,
    )


def mask_notes(config: SiteConfig) -> list[str]:
    """A sentence for each camera whose kept video shows what its privacy masks hide elsewhere."""
    return [
        f"camera {camera.id}: privacy_mask is black in snapshots, but clips and recordings are the camera's own stream "
        f"and show what is behind it: set the mask in the camera (gatehouse edge cameras masks {camera.id} --write) "
        'and write masked_in_camera = true, or record = "none"'
        for camera in config.video.cameras
        if camera.record != "none" and _is_unmasked(camera)
    ]


def _is_unmasked(camera: CameraConfig) -> bool:
    return bool(camera.privacy_mask) and not camera.masked_in_camera


def make_uploads(
    config: SiteConfig, keeping: Keeping, http: HubHttp, clock: Clock, jitter: Callable[[], float], counters: Counters
) -> ClipUploads:
    """What sends the clips of a keeping to the hub."""
    grades = {"all": set(Grade), "alarms": {Grade.ALARM}, "none": set()}[config.keeping.upload]
    rate = float(config.keeping.upload_kib_per_s * _KIB)
    uploads = ClipUploads(lambda: keeping.index, http, grades.__contains__, rate, clock, jitter, counters)
    keeping.on_clip(uploads.look)
    return uploads


def sinks_of(config: SiteConfig, keeping: Keeping | None) -> Mapping[str, Sequence[PacketSink]]:
    """Camera id -> who takes its packets."""
    if keeping is None:
        return {}
    found = ((camera.id, keeping.sink(camera.id)) for camera in config.video.cameras)
    return {name: (sink,) for name, sink in found if sink is not None}


def sighted_by(keeping: Keeping | None) -> "Mapping[str, SightingSink]":
    """Camera id -> who is told of the tracks in its frames."""
    return {} if keeping is None else keeping.sighted()
