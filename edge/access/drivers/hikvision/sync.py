"""Makes a terminal's own list of users, cards and plans the one that is wanted, request by request.

What goes first takes rights away: cards and users that are no longer wanted, then plans, then users and cards. What a
device refuses is counted, logged without a name, and tried again later; the rest goes on. A device of which nothing is
known (the state is lost, or the device holds fewer users than it should) is asked whom it holds: users with an opaque
number of ours are taken over, so that faces enrolled at the device stay; any other user is left alone.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable

from edge.access.drivers.hikvision.client import Refused, TerminalClient
from edge.access.drivers.hikvision.roster import UNSURE, Held, Wanted, WantedUser, digest
from edge.access.drivers.hikvision.translate import credential_id
from protocols import isapi
from protocols.base import ProtocolError

USERS, CARDS = "/ISAPI/AccessControl/UserInfo", "/ISAPI/AccessControl/CardInfo"
WEEK_PLAN, TEMPLATE = "/ISAPI/AccessControl/UserRightWeekPlanCfg", "/ISAPI/AccessControl/UserRightPlanTemplate"
SAVE_EVERY = 50
MAX_REFUSED_IN_A_ROW = 20
MAX_PAGES = 10_000

_log = logging.getLogger(__name__)


class Overtaken(Exception):
    """A newer roster is there."""


class _DeviceRefusesAll(Exception):
    """So many requests in a row were refused that going on is of no use."""


class Sync:
    """One run against one device.

    Args:
        held: what the device holds; changed with every request: before it, since its answer may not come, and after.
        save: has `held` written to disk.
        flush: returns when that is done.
        is_overtaken: asked before each request.
    """

    def __init__(
        self,
        client: TerminalClient,
        held: Held,
        save: Callable[[], None],
        flush: Callable[[], Awaitable[None]],
        is_overtaken: Callable[[], bool],
    ) -> None:
        self._client, self._held, self._is_overtaken = client, held, is_overtaken
        self._save, self._flush = save, flush
        self._requests = self._refused_in_a_row = 0
        self.failed = 0
        """What the device refused in this run."""

    async def run(self, wanted: Wanted) -> None:
        """Make the device's list the wanted one.

        Raises:
            DeviceFault: if the device cannot be used; what was done is kept.
            Overtaken: if a newer roster is there.
        """
        try:
            await self._intend(wanted)
            await self._remove_cards(wanted)
            await self._remove_users(wanted)
            await self._write_plans(wanted)
            await self._write_users(wanted)
            await self._write_cards(wanted)
            for schedule in self._held.plans.keys() - wanted.plans.keys():
                del self._held.plans[schedule]  # nobody refers to it any more
        except _DeviceRefusesAll:
            _log.warning("the list of a terminal cannot be written: it refuses everything")
        finally:
            self._held.intended = frozenset()  # whoever was sent is among its users
            self._save()

    async def _intend(self, wanted: Wanted) -> None:
        self._held.intended = frozenset(wanted.users.keys() - self._held.users.keys())
        if self._held.intended:
            self._save()
            await self._flush()

    async def _remove_cards(self, wanted: Wanted) -> None:
        for card, owner in list(self._held.cards.items()):
            if wanted.cards.get(card) == owner or (owner != UNSURE and owner not in wanted.users):
                continue  # those of a user that goes, go with it
            if await self._do("PUT", f"{CARDS}/Delete", isapi.delete_card(card), done_if="cardNoNotExist"):
                del self._held.cards[card]

    async def _remove_users(self, wanted: Wanted) -> None:
        for employee in [each for each in self._held.users if each not in wanted.users]:
            if await self._do("PUT", f"{USERS}/Delete", isapi.delete_user(employee), done_if="employeeNoNotExist"):
                self._held.forget_user(employee)

    async def _write_plans(self, wanted: Wanted) -> None:
        for schedule, periods in wanted.plans.items():
            number = self._held.plan_number(schedule)
            if number is None:
                self.failed += 1
                _log.warning("a terminal has no plan left for schedule %s", schedule)
                continue
            body, before = isapi.week_plan(periods), self._held.plans.get(schedule)
            if before == (number, digest(body)):
                continue
            template = isapi.plan_template(number, f"gatehouse {number}")
            self._held.plans[schedule] = (number, UNSURE)
            if await self._do("PUT", f"{WEEK_PLAN}/{number}", body) and await self._do(
                "PUT", f"{TEMPLATE}/{number}", template
            ):
                self._held.plans[schedule] = (number, digest(body))
            elif before is None:
                del self._held.plans[schedule]

    async def _write_users(self, wanted: Wanted) -> None:
        for employee, user in wanted.users.items():
            body, before = self._user_info(employee, user), self._held.users.get(employee)
            if body is None or before == digest(body):
                continue
            ways = [("POST", f"{USERS}/Record"), ("PUT", f"{USERS}/Modify")]
            if before is not None:
                ways.reverse()
            self._held.users[employee] = UNSURE
            if await self._do(*ways[0], body, is_last=False) or await self._do(*ways[1], body):
                self._held.users[employee] = digest(body)
            elif before is None:
                del self._held.users[employee]

    def _user_info(self, employee: str, user: WantedUser) -> bytes | None:
        """The request's body; None where none of its plans could be written."""
        plans = self._held.plans
        templates = [
            (door, tuple(plans[schedule][0] for schedule in schedules if schedule in plans))
            for door, schedules in user.rights
        ]
        usable = tuple((door, numbers) for door, numbers in templates if numbers)
        return isapi.user_info(isapi.User(employee, user.begin, user.end, usable)) if usable else None

    async def _write_cards(self, wanted: Wanted) -> None:
        for card, owner in wanted.cards.items():
            if self._held.cards.get(card) == owner or owner not in self._held.users:
                continue
            record = "POST", f"{CARDS}/Record", isapi.card_info(owner, card)
            self._held.cards[card] = UNSURE
            written = await self._do(*record, is_last=False)
            if not written:  # somebody else's, by the device's book
                await self._do("PUT", f"{CARDS}/Delete", isapi.delete_card(card), is_last=False)
                written = await self._do(*record)
            if written:
                self._held.cards[card] = owner
            else:
                del self._held.cards[card]

    async def _do(self, method: str, path: str, body: bytes, *, done_if: str = "", is_last: bool = True) -> bool:
        """One request; whether it was done. A refusal counts where nothing else `is_last` tried."""
        if self._is_overtaken():
            raise Overtaken
        self._requests += 1
        if self._requests % SAVE_EVERY == 0:
            self._save()
        try:
            await self._client.command(method, f"{path}?format=json", body)
        except Refused as refused:
            if done_if and refused.sub_code.lower() == done_if.lower():
                return True
            if is_last:
                self.failed += 1
                self._refused_in_a_row += 1
                _log.warning("a terminal refuses %s %s: %s", method, path, refused)
                if self._refused_in_a_row >= MAX_REFUSED_IN_A_ROW:
                    raise _DeviceRefusesAll from refused
            return False
        self._refused_in_a_row = 0
        return True


async def count_users(client: TerminalClient) -> int | None:
    """How many users a device holds; None where it does not tell.

    Raises:
        DeviceFault: if it cannot be used.
    """
    try:
        return isapi.parse_user_count(await client.get(f"{USERS}/Count?format=json"))
    except (Refused, ProtocolError):
        return None


async def take_over(client: TerminalClient, device: str) -> Held:
    """Ask a device of which nothing is known for the users of ours that it holds; their cards are removed, and so
    written anew.

    Raises:
        DeviceFault: if it cannot be used.
    """
    held, search_id = Held(device), secrets.token_hex(8)
    position = 0
    for _ in range(MAX_PAGES):
        try:
            body = await client.send("POST", f"{USERS}/Search?format=json", isapi.search_users(search_id, position))
            employees, more = isapi.parse_user_search(body)
        except (Refused, ProtocolError):
            break  # it does not tell: what is refused while writing is then sorted out one by one
        held.users |= {employee: UNSURE for employee in employees if credential_id(employee)}
        position += len(employees)
        if not more or not employees:
            break
    for employee in held.users:
        try:
            await client.command("PUT", f"{CARDS}/Delete?format=json", isapi.delete_cards_of(employee))
        except Refused:
            continue  # it had none
    return held
