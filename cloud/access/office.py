"""What the routes and commands of door management work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from cloud.access.passes import PassMaker
from cloud.access.reach import Reach
from cloud.accounts import SignedIn
from cloud.audit import AuditLog
from cloud.commands.service import Args, CommandOutcome
from cloud.database.engine import Database
from cloud.register.ids import IdMaker
from cloud.signing import HubSigner
from cloud.vault import Vault


class CommandSender(Protocol):
    """`cloud.commands.CommandService`."""

    def release_door(self, gateway_id: str, door: str, account_id: UUID) -> UUID:
        """Send the command to release a door and return its correlation id; its outcome comes later."""
        ...

    def send(self, gateway_id: str, args: Args, account_id: UUID | None, why: str = "") -> UUID:
        """Send any command and return its correlation id; account None: the hub itself gives it."""
        ...

    def outcome(self, corr: UUID) -> CommandOutcome | None:
        """How a command stands; None if there is none."""
        ...


@dataclass(frozen=True)
class DoorOffice:
    """The register of doors, its audit, and the way to the gateways."""

    database: Database
    vault: Vault
    signer: HubSigner
    audit: AuditLog
    commands: CommandSender
    now: Callable[[], datetime]
    make_id: IdMaker

    @property
    def passes(self) -> PassMaker:
        return PassMaker(self.vault, self.signer, self.make_id)

    def reach(self, who: SignedIn) -> Reach:
        """What an account reaches now."""
        return Reach(who.scope, self.now())

    def changed(self, account: UUID | None, action: str, **detail: str | int) -> None:
        """Audit a change of the register that was made.

        Raises:
            AuditError: if it cannot be written.
        """
        self.audit.append(action, account, detail)

    def command(self, gateway: str, args: Args, account: UUID, why: str, detail: Mapping[str, str]) -> UUID:
        """Audit a command and send it, in this order: what cannot be audited does not happen.

        Raises:
            AuditError: if it cannot be written; nothing is sent then.
        """
        name = _NAMES[type(args).__name__]
        self.audit.append(name, account, {"gateway": gateway, **detail, "why": why})
        corr = self.commands.send(gateway, args, account, why)
        self.audit.append(f"{name}.sent", account, {"gateway": gateway, **detail, "corr": str(corr)})
        return corr


_NAMES = {
    "DoorRelease": "door.release",
    "DoorModeSet": "door.mode",
    "Lockdown": "lockdown",
    "Forgive": "antipassback.forgive",
    "EvidenceHold": "evidence.hold",
}
