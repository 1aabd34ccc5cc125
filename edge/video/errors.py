"""What can go wrong with video, as one tree."""

from protocols.events import CameraFault


class VideoError(Exception):
    """Video cannot work as configured; the text names the thing, the cause and the remedy."""


class StreamFault(VideoError):
    """A camera gives no pictures. `fault` is the cause in the contract's words, `detail` a sentence without secrets."""

    def __init__(self, fault: CameraFault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail
