"""What is past its days goes, what is not stays, and the audit says how much."""

import hashlib
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from sqlalchemy import func, insert, select, update

from cloud.accounts.scope import WHOLE
from cloud.alarms.states import Outcome
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import (
    AccessPass,
    Account,
    AccountRole,
    Alarm,
    AuditEntry,
    Clip,
    CommandRecord,
    Credential,
    DeadLetter,
    EventRecord,
    LoginSession,
    Notice,
    NoticeAttempt,
    NoticeMessage,
    PersonHold,
    Picture,
)
from cloud.media.clips import ClipStore
from cloud.media.store import PictureStore
from cloud.retention import RetentionDays, RetentionService
from protocols.access_events import DoorForced
from protocols.commands import Action, EvidenceHold
from tests.peers.http_receiver import Answers, HttpReceiver
from tests.support.alarms import City, Clock
from tests.support.console import Seed, utc_now
from tests.support.events import new_id, opened
from tests.support.matters import Town
from tests.support.notify import NotifyingCity, secret_file

NOW = utc_now()


def service(
    database: Database, pictures: PictureStore, clips: ClipStore | None = None, days: RetentionDays | None = None
) -> RetentionService:
    clips = clips or ClipStore(pictures._folder.parent / "clips", database, lambda: NOW)
    audit, days = AuditLog(database, lambda: NOW), days or RetentionDays()
    return RetentionService(database, pictures, clips, audit, lambda: NOW, days, CollectorRegistry())


def count(database: Database, table: type) -> int:
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def pictures(database: Database, tmp_path: Path) -> PictureStore:
    return PictureStore(tmp_path / "pictures", database, lambda: NOW)


def test_old_events_go_in_batches_and_young_ones_stay(database: Database, pictures: PictureStore) -> None:
    seed = Seed(database)
    old = [seed.gateway.event(opened()) for _ in range(1100)]
    seed.store(*old, received_at=NOW - timedelta(days=180, seconds=1))
    seed.store(seed.gateway.event(opened()), received_at=NOW - timedelta(days=179))

    counts = service(database, pictures).run_once()

    assert counts == {**dict.fromkeys(counts, 0), "events": 1100}
    assert count(database, EventRecord) == 1
    with database.read() as connection:
        entry = connection.execute(select(AuditEntry.action, AuditEntry.detail)).one()
    assert (entry.action, entry.detail["events"]) == ("retention", 1100)
    assert "pictures_sha256" not in entry.detail


def test_the_audit_proves_which_went(database: Database, pictures: PictureStore) -> None:
    seed = Seed(database)
    old = [seed.gateway.event(opened()) for _ in range(3)]
    for number, event in enumerate(old):
        seed.store(event, received_at=NOW - timedelta(days=200 - number))
    service(database, pictures).run_once()
    with database.read() as connection:
        detail = connection.execute(select(AuditEntry.detail)).scalar_one()
    assert detail["events_sha256"] == hashlib.sha256("".join(f"{event.id}\n" for event in old).encode()).hexdigest()


@pytest.mark.parametrize("camera", [None, "c-east"])
def test_what_a_case_holds_stays_until_the_hold_is_ended(
    database: Database, pictures: PictureStore, tmp_path: Path, camera: str | None
) -> None:
    seed, long_ago = Seed(database), NOW - timedelta(days=300)
    inside = seed.gateway.event(opened(), "c-east", at=long_ago)
    other = seed.gateway.event(opened(), "c-west", at=long_ago)
    before = seed.gateway.event(opened(), "c-east", at=long_ago - timedelta(hours=2))
    seed.store(inside, other, before, received_at=long_ago)
    PictureStore(tmp_path / "pictures", database, lambda: long_ago).add("aa" * 32, b"held", "gw-quiet")
    PictureStore(tmp_path / "pictures", database, lambda: long_ago).add("bb" * 32, b"free", "gw-other")
    for name in ("aa", "bb"):
        os.utime(tmp_path / "pictures" / name / (name * 32), (long_ago.timestamp(), long_ago.timestamp()))
    around = timedelta(hours=1)
    hold = EvidenceHold(hold=new_id(), active=True, camera=camera, since=long_ago - around, until=long_ago + around)
    command(database, hold, NOW - timedelta(days=2), "failed")

    counts = service(database, pictures).run_once()

    kept = {inside.id, other.id} if camera is None else {inside.id}
    with database.read() as connection:
        assert set(connection.scalars(select(EventRecord.id))) == kept
    assert counts["pictures"] == 1
    assert pictures.find("aa" * 32) is not None
    command(database, hold.model_copy(update={"active": False}), NOW - timedelta(days=1), "done")
    counts = service(database, pictures).run_once()
    assert (counts["events"], counts["pictures"]) == (len(kept), 1)
    assert pictures.find("aa" * 32) is None


def test_what_an_open_alarm_is_about_stays_until_it_is_closed(
    database: Database, pictures: PictureStore, tmp_path: Path
) -> None:
    long_ago = NOW - timedelta(days=300)
    city = City(database, Clock(long_ago))
    east = city.gateways["east"]
    forced = east.event(DoorForced(), device="d-east", place="gate-east", at=long_ago)
    around = east.event(opened(), "c-east", place="gate-east", at=long_ago - timedelta(minutes=9))
    before = east.event(opened(), "c-east", place="gate-east", at=long_ago - timedelta(minutes=11))
    other = city.gateways["west"].event(opened(), "d-west", place="gate-west", at=long_ago)
    city.store(forced, around, before, other)
    city.tick()
    clips = ClipStore(tmp_path / "clips", database, lambda: NOW)
    for name, gateway, days in (("aa", "gw-east", 300), ("bb", "gw-west", 300), ("cc", "gw-east", 268)):
        at = NOW - timedelta(days=days)
        PictureStore(tmp_path / "pictures", database, lambda at=at: at).add(name * 32, b"x", gateway)
        content = b"\0\0\0\x08ftyp " + name.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        assert (
            ClipStore(tmp_path / "clips", database, lambda at=at: at)
            .add(gateway, sha256, len(content), 0, content)
            .done
        )

    counts = service(database, pictures, clips).run_once()

    with database.read() as connection:
        assert set(connection.scalars(select(EventRecord.id))) == {forced.id, around.id}
    assert (counts["pictures"], counts["clips"]) == (2, 2)
    assert pictures.find("aa" * 32) is not None
    alarm, guard = city.alarm().id, city.actor("guard-east")
    city.desk.acknowledge(alarm, guard)
    city.desk.close(alarm, guard, Outcome.FALSE_ALARM, "wind")
    counts = service(database, pictures, clips).run_once()
    assert (counts["events"], counts["pictures"], counts["clips"]) == (2, 1, 1)


def command(database: Database, hold: EvidenceHold, at: datetime, state: str, gateway: str = "gw-quiet") -> None:
    """A command to begin or end a hold, as `cloud.commands` records it."""
    with database.write() as connection:
        account = connection.scalar(select(Account.id))
        if account is None:
            account = new_id()
            values = {"id": account, "username": "x", "password_hash": "x", "role": AccountRole.DISTRICT}
            connection.execute(insert(Account).values(**values, created_at=NOW))
        connection.execute(
            insert(CommandRecord).values(
                corr=new_id(),
                gateway_id=gateway,
                door="",
                account_id=account,
                issued_at=at,
                expires_at=at,
                state=state,
                action=Action.EVIDENCE_HOLD,
                args=hold.model_dump(mode="json"),
                updated_at=at,
            )
        )


def test_whom_a_pass_was_for_is_forgotten_and_the_pass_stays(database: Database, pictures: PictureStore) -> None:
    seed = Seed(database)
    ids = [new_id(), new_id()]
    with database.write() as connection:
        person = connection.scalar(select(Credential.person_id).where(Credential.id == seed.credential))
        for identifier, age in zip(ids, (91, 89), strict=True):
            values = {"number_sealed": b"x", "number_index": str(identifier), "until": NOW - timedelta(days=age)}
            connection.execute(insert(Credential).values(id=identifier, person_id=person, kind="pass", **values))
            connection.execute(
                insert(AccessPass).values(id=identifier, kind="guest", label="李四", days=[], created_at=NOW)
            )
    assert service(database, pictures).run_once()["visitors"] == 1
    with database.read() as connection:
        labels = dict(connection.execute(select(AccessPass.id, AccessPass.label)).all())
    assert labels == {ids[0]: "", ids[1]: "李四"}


def test_whom_a_pass_was_for_stays_while_a_case_holds_the_data_of_who_gave_it(
    database: Database, pictures: PictureStore
) -> None:
    seed, identifier = Seed(database), new_id()
    with database.write() as connection:
        person = connection.scalar(select(Credential.person_id).where(Credential.id == seed.credential))
        values = {"number_sealed": b"x", "number_index": "x", "until": NOW - timedelta(days=91)}
        connection.execute(insert(Credential).values(id=identifier, person_id=person, kind="pass", **values))
        connection.execute(
            insert(AccessPass).values(id=identifier, kind="guest", label="李四", days=[], created_at=NOW)
        )
        case = {"id": new_id(), "person_id": person, "case_number": "2026-17", "purpose": "a theft", "held_at": NOW}
        connection.execute(insert(PersonHold).values(**case))
    assert service(database, pictures).run_once()["visitors"] == 0
    with database.write() as connection:
        connection.execute(update(PersonHold).values(ended_at=NOW))
    assert service(database, pictures).run_once()["visitors"] == 1


def test_nothing_to_delete_is_not_audited(database: Database, pictures: PictureStore) -> None:
    assert not any(service(database, pictures).run_once().values())
    assert count(database, AuditEntry) == 0


def test_old_pictures_go_with_their_files_and_what_a_crash_left(
    database: Database, pictures: PictureStore, tmp_path: Path
) -> None:
    long_ago = NOW - timedelta(days=31)
    PictureStore(tmp_path / "pictures", database, lambda: long_ago).add("aa" * 32, b"old", "gw-quiet")
    pictures.add("bb" * 32, b"young", "gw-quiet")
    left = tmp_path / "pictures" / "aa" / "aa-crash.part"
    left.write_bytes(b"half")
    os.utime(left, (long_ago.timestamp(), long_ago.timestamp()))

    assert service(database, pictures).run_once()["pictures"] == 1

    assert pictures.find("aa" * 32) is None
    assert pictures.find("bb" * 32) is not None
    assert [path.name for path in (tmp_path / "pictures").glob("*/*")] == ["bb" * 32]
    assert count(database, Picture) == 1


def test_old_clips_go_with_their_files_and_young_ones_stay(
    database: Database, pictures: PictureStore, tmp_path: Path
) -> None:
    now = [NOW - timedelta(days=31)]
    clips = ClipStore(tmp_path / "clips", database, lambda: now[0])
    names = []
    for content in (b"\0\0\0\x08ftyp old", b"\0\0\0\x08ftyp young"):
        names.append(hashlib.sha256(content).hexdigest())
        assert clips.add("gw-quiet", names[-1], len(content), 0, content).done
        now[0] = NOW

    assert service(database, pictures, clips).run_once()["clips"] == 1

    assert [clips.find(name) is not None for name in names] == [False, True]
    assert count(database, Clip) == 1


def test_dead_letters_and_sessions_go(database: Database, pictures: PictureStore) -> None:
    account = new_id()
    letter = {"topic": "t", "reason": "r", "payload": b"p"}
    with database.write() as connection:
        connection.execute(
            insert(Account).values(
                id=account, username="guard", password_hash="x", role=AccountRole.GUARD, created_at=NOW
            )
        )
        for age, token in ((timedelta(days=31), "old"), (timedelta(days=-1), "young")):
            connection.execute(insert(DeadLetter).values(id=new_id(), received_at=NOW - age, **letter))
            connection.execute(
                insert(LoginSession).values(
                    token_hash=token,
                    id=new_id(),
                    account_id=account,
                    created_at=NOW,
                    used_at=NOW,
                    expires_at=NOW - age,
                    address="192.0.2.1",
                    browser="",
                )
            )
    counts = service(database, pictures).run_once()
    assert (counts["dead_letters"], counts["sessions"]) == (1, 1)
    assert (count(database, DeadLetter), count(database, LoginSession)) == (1, 1)


def test_notices_go_with_their_messages_and_attempts_once_they_are_over(
    database: Database, pictures: PictureStore, tmp_path: Path
) -> None:
    with HttpReceiver() as receiver:
        hook = {"kind": "webhook", "url": receiver.url, "secret_file": secret_file(tmp_path, "k", "k"), "private": True}
        city = NotifyingCity(database, {"channels": {"hook": hook}, "routes": {"all": {"channel": "hook"}}})
        city.force()
        sender = city.new_sender()
        sender.run_once("hook")
        receiver.answer = lambda _: Answers(500)
        city.force("west")
        sender.run_once("hook")
    assert sorted(city.states()) == ["sent", "waiting"]
    counts = service(database, pictures).run_once()
    assert (counts["notices"], count(database, NoticeMessage), count(database, NoticeAttempt)) == (0, 2, 2)
    with database.write() as connection:
        for table in (Notice, NoticeMessage):
            connection.execute(update(table).values(made_at=NOW - timedelta(days=181)))

    counts = service(database, pictures).run_once()

    assert counts["notices"] == 1
    assert [count(database, table) for table in (Notice, NoticeMessage, NoticeAttempt)] == [1, 1, 1]
    assert city.states() == ["waiting"], "what is not told yet stays"


def test_days_are_bounded() -> None:
    with pytest.raises(ValidationError):
        RetentionDays(events=0)
    with pytest.raises(ValidationError):
        RetentionDays.model_validate({"everything": 1})


def test_who_reported_a_matter_is_forgotten_a_year_after_it_was_closed(
    database: Database, pictures: PictureStore
) -> None:
    town = Town(database)
    old, young, running = (town.enter() for _ in range(3))
    for number, days in ((old, 366), (young, 364)):
        with database.write() as connection:
            closed = update(Alarm).where(Alarm.key == f"matter {number}")
            connection.execute(closed.values(closed_at=NOW - timedelta(days=days)))
    assert service(database, pictures).run_once()["reporters"] == 1
    kept = {row.number: row.reporter_sealed is not None for row in town.rows()}
    assert kept == {old: False, young: True, running: True}
    assert town.matters.show(old, WHOLE).reporter is None
    assert service(database, pictures).run_once()["reporters"] == 0
