"""Whether live video of a camera would show what its privacy masks hide; video is passed on as it comes."""

from collections.abc import Iterator, Sequence

from edge.video.config import CameraConfig


def shows_what_is_masked(camera: CameraConfig) -> bool:
    """Whether the camera has privacy masks that it does not draw itself."""
    return bool(camera.privacy_mask) and not camera.masked_in_camera


def live_mask_notes(cameras: Sequence[CameraConfig]) -> Iterator[str]:
    """What a person who set masks should know of live video, camera by camera."""
    for camera in cameras:
        if not shows_what_is_masked(camera):
            continue
        if camera.live_unmasked:
            yield f"camera {camera.id}: live_unmasked = true: live video shows what privacy_mask hides in pictures"
        else:
            yield (
                f"camera {camera.id}: no live video, as privacy_mask is not in it; write masked_in_camera = true once "
                "the camera draws it itself, or live_unmasked = true to show what it hides"
            )
