"""Taking a thousand rows together gives what taking one after the other gives: the slow and obvious form."""

import random
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud.database.tables import Credential, CredentialGroup, Grid, GridPlace, Person, Place, Residency
from cloud.register import importing
from cloud.register.importing import import_register
from cloud.register.report import ImportReport
from cloud.vault import Vault
from protocols.resident_id import check_character
from tests.cloud.register.test_importing import Rows, workbook
from tests.support.databases import new_sqlite

VAULT = Vault(bytes(range(32)))
_NAMES = ("张伟", "李娜", "王芳")
_DAYS = ("2024-01-31", "2024-06-30", "2025-01-01", "2026-01-01")


def sheets(dice: random.Random) -> dict[str, Rows]:
    """Few names, numbers, dwellings and days, so that rows often mean the same person, card, stay or membership."""
    numbers = [body + check_character(body) for body in (f"5204021990030712{digit}" for digit in range(3))]
    places: Rows = [
        ["code", "kind", "name", "parent"],
        ["c", "community", "村", None],
        *([f"b{n}", "building", dice.choice("xy"), "c"] for n in range(2)),
        *([f"d{dice.randrange(4)}", "dwelling", dice.choice("xy"), f"b{dice.randrange(2)}"] for _ in range(10)),
        *([f"d{n}", "dwelling", str(n), f"b{n // 2}"] for n in range(4)),
    ]
    grids: Rows = [["code", "name", "place", "since"], *([f"g{n}", "网格", "c", "2020-01-01"] for n in range(2))]
    memberships: Rows = [
        ["place", "grid", "since", "until"],
        *(
            [dice.choice(("c", "b0", "d1", "d2")), f"g{dice.randrange(2)}", dice.choice(_DAYS), None]
            for _ in range(dice.randrange(8))
        ),
    ]
    residents: Rows = [
        ["name", "id_number", "phone", "dwelling", "role", "since", "until", "card", "groups"],
        *(_resident(dice, numbers) for _ in range(dice.randrange(2, 14))),
    ]
    weeks: Rows = [["code", "name", "days", "from", "until"], ["always", "全天", "all", "00:00", "24:00"]]
    return {"places": places, "grids": grids, "memberships": memberships, "schedules": weeks, "residents": residents}


def _resident(dice: random.Random, numbers: list[str]) -> list[str | None]:
    number = dice.choice([None, *numbers])
    phone = dice.choice([None, "138 0000 0001", "13800000001", "13800000002"])
    since = dice.choice(_DAYS[:2])
    until = dice.choice([None, "2024-03-31", "2026-12-31"])
    card = dice.choice([None, None, "w26:1:1", "w26:1:2", "w26:1:3"])
    return [dice.choice(_NAMES), number, phone, f"d{dice.randrange(4)}", "owner", since, until, card, None]


def imported(folder: Path, files: list[Path]) -> tuple[list[ImportReport], dict[str, Counter[tuple[object, ...]]]]:
    """The reports, and what the tables then hold, without ids."""
    database = new_sqlite(folder)
    reports = [import_register(database, VAULT, file) for file in files]
    queries = {
        "places": select(Place.code, Place.name, Place.kind),
        "persons": select(Person.name, Person.id_number_index, Person.phone_index),
        "stays": select(Person.name, Person.id_number_index, Place.code, Residency.since, Residency.until)
        .join(Residency, Residency.person_id == Person.id)
        .join(Place, Place.id == Residency.dwelling_id),
        "cards": select(Person.name, Credential.number_index).join(Credential, Credential.person_id == Person.id),
        "groups": select(CredentialGroup.group_code),
        "grids": select(Place.code, Grid.code, GridPlace.since, GridPlace.until)
        .join(GridPlace, GridPlace.place_id == Place.id)
        .join(Grid, Grid.id == GridPlace.grid_id),
    }
    with database.read() as connection:
        held = {what: Counter(tuple(row) for row in connection.execute(query)) for what, query in queries.items()}
    database.close()
    return reports, held


def test_rows_together_give_what_rows_one_by_one_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    for number in range(8):
        dice = random.Random(number)
        folder = tmp_path / str(number)
        for name in ("one", "many"):
            (folder / name).mkdir(parents=True)
        files = [workbook(folder / f"{turn}.xlsx", **sheets(dice)) for turn in range(3)]
        monkeypatch.setattr(importing, "_CHUNK_ROWS", 1)
        one = imported(folder / "one", files)
        monkeypatch.setattr(importing, "_CHUNK_ROWS", 1000)
        many = imported(folder / "many", files)
        assert many == one, f"with seed {number}"
        taken += sum(report.imported for report in one[0])
    assert taken > 3
