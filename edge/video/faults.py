"""What FFmpeg's errors mean for a person: a cause in the contract's words and a sentence with the remedy.

PyAV's errors are both `FFmpegError` and the built-in kind (`ConnectionRefusedError`, `TimeoutError`, `ValueError`, …).
Their own text holds the address with its password, so it is never passed on.
"""

import errno

import av.error

from edge.video.errors import StreamFault
from protocols.events import CameraFault

_Kinds = tuple[type[BaseException], ...]

_DAMAGED = "the video is damaged or of a kind that cannot be decoded; set the camera to H.264"
_LOST = "the connection to the camera broke"

_OPENING: tuple[tuple[_Kinds, CameraFault, str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError, PermissionError),
        CameraFault.UNAUTHORISED,
        "the camera refuses this user name and password; correct username and password_file",
    ),
    (
        (av.error.HTTPNotFoundError, FileNotFoundError, IsADirectoryError),
        CameraFault.NOT_FOUND,
        "there is no such stream or file; correct the path in url",
    ),
    (
        (av.error.HTTPError,),
        CameraFault.REFUSED,
        "the camera answers with an error; it may have too many viewers",
    ),
    (
        (ConnectionRefusedError,),
        CameraFault.REFUSED,
        "nothing listens at the camera's port; it may be starting, or url names a wrong port",
    ),
    (
        (av.error.ExitError,),
        CameraFault.SILENT,
        "no answer within {timeout_s:g} s",
    ),
    ((av.error.EOFError, ConnectionError), CameraFault.SILENT, "the camera hung up without an answer"),
    ((TimeoutError, OSError), CameraFault.UNREACHABLE, "the camera cannot be reached; check its address and cable"),
    ((av.error.FFmpegError, ValueError), CameraFault.UNDECODABLE, _DAMAGED),
)

_READING: tuple[tuple[_Kinds, CameraFault, str], ...] = (
    ((av.error.ExitError, TimeoutError), CameraFault.SILENT, "no data for {timeout_s:g} s"),
    ((av.error.HTTPUnauthorizedError,), CameraFault.UNAUTHORISED, "the camera ended the session"),
    ((av.error.EOFError,), CameraFault.ENDED, "the stream ended"),
    ((OSError,), CameraFault.UNREACHABLE, _LOST),
    ((av.error.FFmpegError, ValueError), CameraFault.UNDECODABLE, _DAMAGED),
)


def open_fault(error: Exception, timeout_s: float) -> StreamFault:
    """Why a stream could not be opened within `timeout_s`."""
    if isinstance(error, OSError) and error.errno == errno.EPROTONOSUPPORT:
        return StreamFault(
            CameraFault.REFUSED, "the camera does not send this way; set transport to the other of the two"
        )
    return _first(_OPENING, error, timeout_s)


def read_fault(error: Exception, timeout_s: float) -> StreamFault:
    """Why an open stream gave no more; `timeout_s` is the longest silence allowed."""
    return _first(_READING, error, timeout_s)


def _first(table: tuple[tuple[_Kinds, CameraFault, str], ...], error: Exception, timeout_s: float) -> StreamFault:
    for kinds, fault, detail in table:
        if isinstance(error, kinds):
            return StreamFault(fault, detail.format(timeout_s=timeout_s))
    return StreamFault(CameraFault.UNDECODABLE, _DAMAGED)
