"""Holds for a case: ordered by the hub, or made at the gateway's own command line."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from edge.keeping.assembly import INDEX_FILE
from edge.keeping.index import KeepingIndex
from edge.keeping.orders import HoldOrders
from gatehouse.edge_command import app
from protocols.commands import EvidenceHold, FailureCode
from tests.edge.keeping.parts import Kept

SINCE = datetime(2026, 10, 1, 8, tzinfo=UTC)
UNTIL = SINCE + timedelta(hours=1)


def order(camera: str | None = "cam-east", active: bool = True) -> EvidenceHold:
    return EvidenceHold(hold=uuid4(), active=active, camera=camera, since=SINCE, until=UNTIL)


def test_the_hub_begins_and_ends_a_hold(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keeping.start()
    orders = HoldOrders(kept.keeping, kept.clock)
    begin = order()
    assert orders.hold(begin).done
    assert orders.hold(begin).done, "the same hold again is one hold"
    (hold,) = kept.index.holds()
    assert (hold.id, hold.camera, hold.until_ms - hold.since_ms) == (str(begin.hold), "cam-east", 3_600_000)
    assert orders.hold(begin.model_copy(update={"active": False})).done
    assert kept.index.holds() == []
    again = orders.hold(begin.model_copy(update={"active": False}))
    assert (again.done, again.code) == (False, FailureCode.UNKNOWN_HOLD)
    assert orders.hold(order("cam-none")).code is FailureCode.UNKNOWN_CAMERA
    kept.keeping.stop()
    assert orders.hold(order()).code is FailureCode.KEEPING_STOPPED


def test_a_hold_that_ends_before_it_begins_is_no_command() -> None:
    with pytest.raises(ValueError, match="ends after"):
        EvidenceHold(hold=uuid4(), active=True, since=UNTIL, until=SINCE)


def test_a_person_at_the_gateway_adds_lists_and_ends_holds(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    camera = '[[camera]]\nid = "c-east"\nplace = "gate-east"\nurl = "rtsp://127.0.0.1/x"\n'
    site.write_text(f'[gateway]\nstate_dir = "{tmp_path}"\n{camera}')

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["holds", *words, "--config", str(site)])
        return done.exit_code, done.output

    moments = ("2026-10-01T16:00:00+08:00", "2026-10-01T17:00:00+08:00")
    status, said = run("add", *moments)
    assert (status, "start the gateway once" in said) == (1, True)
    KeepingIndex(tmp_path / INDEX_FILE, tmp_path / "video").close()

    status, name = run("add", *moments, "--camera", "c-east", "--why", "case 17")
    assert status == 0
    _, listed = run("list")
    assert "c-east  2026-10-01T08:00:00+00:00  2026-10-01T09:00:00+00:00  case 17" in listed
    assert run("end", name.strip())[0] == 0
    assert run("end", name.strip())[0] == 1
    assert run("list")[1] == ""
    assert run("add", *reversed(moments))[0] == 2
    assert run("add", "2026-10-01T16:00:00", moments[1])[0] == 2
    assert run("add", *moments, "--camera", "c-none")[0] == 2
