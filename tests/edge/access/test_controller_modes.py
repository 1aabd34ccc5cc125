"""Which mode wins, and the file in which modes outlive a restart."""

import errno
from pathlib import Path
from uuid import uuid4

import pytest

from edge.access import kept_modes
from edge.access.kept_modes import FILE_NAME, MAX_FILE_BYTES, KeptDoor, KeptModes, ModeFile
from edge.access.modes import Commanded, StandingMode, Wishes, mode_of
from protocols.access_events import DoorMode, ModeCause
from tests.support.gateways import eventually

CORR = uuid4()
LOCKED = Commanded(DoorMode.LOCKED, 200.0, CORR)


@pytest.mark.parametrize(
    ("wishes", "mode"),
    [
        (Wishes(), StandingMode()),
        (
            Wishes(lockdown=True, lockdown_corr=CORR, commanded=LOCKED, scheduled_free=True),
            StandingMode(DoorMode.LOCKED, ModeCause.LOCKDOWN, None, CORR),
        ),
        (
            Wishes(commanded=LOCKED, first_card_until_s=300.0, scheduled_free=True),
            StandingMode(DoorMode.LOCKED, ModeCause.COMMAND, 200.0, CORR),
        ),
        (
            Wishes(first_card_until_s=300.0, scheduled_free=True, scheduled_until_s=400.0),
            StandingMode(DoorMode.FREE, ModeCause.FIRST_CARD, 300.0),
        ),
        (
            Wishes(first_card_until_s=100.0, scheduled_free=True, scheduled_until_s=400.0),
            StandingMode(DoorMode.FREE, ModeCause.SCHEDULE, 400.0),
        ),
        (Wishes(commanded=Commanded(DoorMode.FREE, 100.0, CORR)), StandingMode()),
        (Wishes(scheduled_free=True, first_card_until_s=300.0, is_interlocked=True), StandingMode()),
        (
            Wishes(commanded=Commanded(DoorMode.FREE, None, CORR), is_interlocked=True),
            StandingMode(DoorMode.FREE, ModeCause.COMMAND, None, CORR),
        ),
    ],
)
def test_the_strongest_wish_that_still_holds_decides(wishes: Wishes, mode: StandingMode) -> None:
    assert mode_of(wishes, 100.0) == mode


KEPT = KeptModes(lockdown=True, lockdown_corr=CORR, doors={"d1": KeptDoor(commanded=LOCKED, told=DoorMode.LOCKED)})


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    file = ModeFile(tmp_path)
    assert file.load() == KeptModes()
    file.start()
    file.keep(KeptModes())
    file.keep(KEPT)
    eventually(lambda: ModeFile(tmp_path).load() == KEPT)
    file.stop()


def test_what_was_not_written_yet_is_written_at_the_end(tmp_path: Path) -> None:
    file = ModeFile(tmp_path)
    file.keep(KEPT)
    file.stop()

    assert ModeFile(tmp_path).load() == KEPT


@pytest.mark.parametrize("content", [b"{", b'{"lockdown": 7}', b"[]", b"\xff", b" " * (MAX_FILE_BYTES + 1)])
def test_a_file_that_cannot_be_read_is_moved_aside_and_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    file = ModeFile(tmp_path)

    assert file.load() == KeptModes()
    assert file.fault is not None
    assert "lockdown" in file.fault
    assert (tmp_path / f"{FILE_NAME}.bad").read_bytes() == content


def test_while_the_disk_refuses_memory_alone_knows_until_it_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = kept_modes.write_durably, [True]

    def refusing(path: Path, content: bytes) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "no space left on device")
        write(path, content)

    monkeypatch.setattr(kept_modes, "write_durably", refusing)
    monkeypatch.setattr(kept_modes, "_RETRY_S", 0.02)
    file = ModeFile(tmp_path)
    file.start()
    file.keep(KEPT)
    eventually(lambda: file.off_disk is not None)
    assert "no space left" in str(file.off_disk)
    assert ModeFile(tmp_path).load() == KeptModes()

    full[0] = False
    eventually(lambda: file.off_disk is None)
    assert ModeFile(tmp_path).load() == KEPT
    file.stop()
