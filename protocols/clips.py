"""How a clip travels from gateway to hub: in parts, over HTTP, resumable (docs/contract.md, "Clips").

    GET /api/v1/gateway/clips/{sha256}                         -> 200 {"offset": n, "done": false}
    PUT /api/v1/gateway/clips/{sha256}/{size}/{offset}  bytes  -> 202 {"offset": n, "done": false}, 201 when done

The size and the offset stand in the path because the sender's proof (`protocols.http_auth`) covers the path.
"""

from typing import Annotated

from pydantic import Field, ValidationError

from protocols.base import Message, ProtocolError, explain

PREFIX = "/api/v1/gateway/clips/"
MAX_PART_BYTES = 1024 * 1024
MAX_CLIP_BYTES = 512 * 1024 * 1024


class UploadState(Message):
    """How much of a clip the hub has; `done`: all of it, checked."""

    offset: Annotated[int, Field(ge=0)]
    done: bool = False


def state_path(sha256: str) -> str:
    return f"{PREFIX}{sha256}"


def part_path(sha256: str, size_bytes: int, offset: int) -> str:
    return f"{PREFIX}{sha256}/{size_bytes}/{offset}"


def read_state(body: bytes) -> UploadState:
    """The hub's answer.

    Raises:
        ProtocolError: if it is none.
    """
    try:
        return UploadState.model_validate_json(body)
    except ValidationError as error:
        raise ProtocolError(f"state of an upload: {explain(error)}") from error
