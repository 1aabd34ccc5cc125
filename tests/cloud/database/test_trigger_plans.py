"""What triggers look up costs the same for the last row of an import as for the first."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text

from cloud.database.tables import Credential, Person, Place, Residency
from cloud.register.paths import child_path
from tests.support.databases import PostgresqlCluster, remove
from tests.support.events import new_id

FEW, MANY = 30, 3_000


def test_a_residents_triggers_read_no_table_and_no_index_as_a_whole(postgresql_cluster: PostgresqlCluster) -> None:
    database = postgresql_cluster.new_database()
    since, village = datetime.now(UTC) - timedelta(days=9), new_id()
    home = {"id": village, "kind": "community", "code": "v", "name": "v", "path": child_path(None, village)}
    with database.write() as connection:
        connection.execute(insert(Place).values(**home))
        for count in (FEW, MANY):  # the plan is made while there are few
            persons = [new_id() for _ in range(count)]
            connection.execute(insert(Person), [{"id": person, "name": "x"} for person in persons])
            cards = [
                {"id": new_id(), "person_id": person, "number_sealed": b"", "number_index": person.hex}
                for person in persons
            ]
            connection.execute(insert(Credential), cards)
            stays = [
                {"id": new_id(), "person_id": person, "dwelling_id": village, "role": "owner", "since": since}
                for person in persons
            ]
            connection.execute(insert(Residency), stays)
        tables = text("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'credential'")
        indexed = text("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'credential'")
        scanned, fetched = connection.execute(tables).scalar_one(), connection.execute(indexed).scalar_one()
        marks = connection.execute(text("SELECT count(*) FROM register_change")).scalar_one()
    remove(database)
    assert scanned == 0
    assert fetched <= 2 * (FEW + MANY)
    assert marks >= FEW + MANY, "and each card is marked"
