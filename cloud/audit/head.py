"""The head of the audit, signed by the hub, to be kept where the hub's machine cannot change it.

A chain whose newest entries were cut off is sound in itself; it no longer holds a head that was kept.
"""

import json
from collections.abc import Callable
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cloud.audit.log import BrokenChain, Head

_CONTEXT = b"gatehouse audit head 1\n"


def signed_head(head: Head, moment: datetime, sign: Callable[[bytes], bytes]) -> str:
    """A line of JSON: number, hash and moment of the head, and the hub's Ed25519 signature of them."""
    stated = {"number": head.number, "hash": head.hash, "time": moment.isoformat()}
    return json.dumps({**stated, "signature": sign(_message(stated)).hex()})


def read_head(line: str, public_key: bytes) -> Head:
    """What such a line says.

    Raises:
        BrokenChain: if it is none, or not signed by this key.
    """
    try:
        stated = json.loads(line)
        signature = bytes.fromhex(stated.pop("signature"))
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _message(stated))
        return Head(int(stated["number"]), str(stated["hash"]))
    except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature) as error:
        raise BrokenChain("a head that was kept is not one that this hub signed") from error


def _message(stated: dict[str, object]) -> bytes:
    return _CONTEXT + json.dumps(stated, sort_keys=True, separators=(",", ":")).encode()
