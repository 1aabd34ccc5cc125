"""Who this gateway is: what enrolment left in `identity.json` (mode 600), and the hub's public key.

The keys in it are never logged and never leave the machine.
"""

import json
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from edge.durable import write_durably
from edge.errors import IdentityError
from protocols.base import GatewayId, explain
from protocols.enrolment import Base64Key, BrokerAccess, decode_key
from protocols.sealing import MacKey, fingerprint

FILE_NAME = "identity.json"


class StoredIdentity(BaseModel):
    """The file's content; keys are base64url of 32 bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    v: Literal[1] = 1
    gateway: GatewayId
    key_id: Annotated[str, StringConstraints(pattern=r"^k[1-9][0-9]{0,5}$")] = "k1"
    message_key: Base64Key
    card_key: Base64Key
    hub_url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+$")]
    hub_key: Base64Key
    broker: BrokerAccess


class HubKey:
    """The hub's Ed25519 public key; `verify` fits `protocols.sealing.open_with_signature`."""

    def __init__(self, public_key: bytes) -> None:
        self.key_id = fingerprint(public_key)
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Whether the hub made `signature` over `data` (RFC 8032)."""
        if key_id != self.key_id:
            return False
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Identity:
    """An enrolled gateway. Its `repr` shows no key."""

    gateway: str
    mac_key: MacKey
    card_key: bytes = field(repr=False)
    hub_url: str
    hub_key: HubKey = field(repr=False)
    broker: BrokerAccess = field(repr=False)


def opened(stored: StoredIdentity) -> Identity:
    """The identity with its keys decoded."""
    return Identity(
        stored.gateway,
        MacKey(stored.key_id, decode_key(stored.message_key)),
        decode_key(stored.card_key),
        stored.hub_url,
        HubKey(decode_key(stored.hub_key)),
        stored.broker,
    )


def save_identity(state_dir: Path, stored: StoredIdentity) -> Path:
    """Write the file durably, readable by its owner alone.

    Raises:
        IdentityError: if the folder cannot be written.
    """
    path = state_dir / FILE_NAME
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, (json.dumps(stored.model_dump(mode="json"), indent=2) + "\n").encode(), 0o600)
    except OSError as error:
        raise IdentityError(f"{path}: cannot be written ({error.strerror}); choose another --state-dir") from error
    return path


def load_identity(state_dir: Path) -> Identity:
    """Read the file.

    Raises:
        IdentityError: if it is missing, readable by others, or not what enrolment wrote.
    """
    path = state_dir / FILE_NAME
    try:
        text = path.read_text()
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError as error:
        remedy = "run: gatehouse edge enroll --hub URL --state-dir DIR"
        raise IdentityError(f"{path}: this gateway is not enrolled; {remedy}") from error
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read ({error.strerror}); run as the user that enrolled") from error
    if mode & 0o077:
        raise IdentityError(f"{path}: others may read it (mode {mode:o}); run: chmod 600 {path}")
    try:
        return opened(StoredIdentity.model_validate_json(text))
    except ValidationError as error:
        raise IdentityError(f"{path}: not an identity ({explain(error)}); enroll again with --replace") from error
