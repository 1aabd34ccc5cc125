"""The hub's Ed25519 key (RFC 8032): what it signs, gateways obey. The key never goes to the broker."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.vault import read_or_make_secret_file
from protocols import sealing

_SEED_BYTES = 32


class HubSigner:
    """Signs what goes down to gateways."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: bytes = self._key.public_key().public_bytes_raw()
        self.key_id: str = sealing.fingerprint(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of a signature."""
        return self._key.sign(message)

    def seal(self, topic: str, body: bytes) -> bytes:
        """Frame `body` for `topic` under the hub's signature."""
        return sealing.seal_with_signature(topic, body, self.key_id, self.sign)


def load_signer(path: Path) -> HubSigner:
    """The hub's signer, from a file of mode 600; the key is made at the first start.

    Raises:
        VaultError: if the file may not be used.
    """
    return HubSigner(read_or_make_secret_file(path, _SEED_BYTES))
