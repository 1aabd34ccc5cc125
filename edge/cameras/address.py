"""Where a camera's ONVIF service is and as whom it is asked; the password is apart and is never shown or logged."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.access.secret_files import read_secret
from edge.video.config import CameraConfig
from edge.video.errors import VideoError


@dataclass(frozen=True)
class CameraAddress:
    """An `edge.onvif.client.OnvifAddress`."""

    host: str
    port: int = 80
    username: str | None = None
    https: bool = False
    certificate: Path | None = None
    timeout_s: float = 3.0


def address_of(camera: CameraConfig) -> CameraAddress | None:
    """A configured camera's; None for one that is a file or has no host."""
    onvif = camera.onvif
    host = (onvif.host if onvif is not None else None) or camera.parts.hostname
    if not host:
        return None
    if onvif is None:
        return CameraAddress(host, username=camera.username)
    username = onvif.username or camera.username
    return CameraAddress(host, onvif.port, username, onvif.https, onvif.certificate, onvif.timeout_s)


def password_of(camera: CameraConfig, environment: Mapping[str, str] = os.environ) -> str:
    """The password of the camera's ONVIF user, or of its stream's; empty if there is none.

    Raises:
        VideoError: if it cannot be read; the text says why and what to do.
    """
    if camera.onvif is None or camera.onvif.password_file is None:
        return camera.password(environment) or ""
    path = camera.onvif.password_file
    try:
        return read_secret(path)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise VideoError(f"camera {camera.id}: ONVIF password file {path}: {cause}") from None
