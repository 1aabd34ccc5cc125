"""What the hub and each of its commands stand on: state folder, secrets, database, clock and ids.

A command needs no more than this: the hub's other parts, which take a second to import, stay out of it.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from uuid import UUID

from cloud.config import HubConfig
from cloud.database.engine import Database, open_database
from cloud.private_files import private_folder
from cloud.rotation import check_key
from cloud.signing import HubSigner, load_signer
from cloud.vault import KEY_BYTES, Vault, read_or_make_secret_file
from protocols.ids import UuidV7Maker


class HubError(Exception):
    """The hub cannot start; the text says why and what helps."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def new_id_maker() -> Callable[[], UUID]:
    """Strictly rising ids, safe from any thread."""
    maker, lock = UuidV7Maker(time, os.urandom), threading.Lock()

    def make() -> UUID:
        with lock:
            return maker()

    return make


@dataclass(frozen=True)
class Foundation:
    """What every sub-command of the hub stands on."""

    config: HubConfig
    database: Database
    vault: Vault
    signer: HubSigner


def open_foundation(config: HubConfig) -> Foundation:
    """Open the state folder, its secrets and the database, migrated to this version.

    Raises:
        VaultError, DatabaseUrlError, DatabaseIsNewer, SQLAlchemyError, OSError: as they say.
    """
    state_dir = private_folder(config.state_dir)
    vault = Vault(read_or_make_secret_file(state_dir / "vault.key", KEY_BYTES))
    signer = load_signer(state_dir / "signing.key")
    database = open_database(config.database_url)
    database.migrate()
    check_key(database, vault)
    return Foundation(config, database, vault, signer)
