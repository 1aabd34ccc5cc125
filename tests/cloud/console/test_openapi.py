"""Requests made up from the hub's own OpenAPI document (schemathesis): none makes it fail, none is told what is not
described."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import response_schema_conformance

from cloud.accounts import PERMISSIONS
from cloud.database.tables import AccountRole
from tests.support.console import GUARD, RunningConsole
from tests.support.databases import new_sqlite
from tests.support.two_communities import TwoCommunities

ROLES = (
    AccountRole.ADMINISTRATOR,
    AccountRole.DISTRICT,
    AccountRole.AUDITOR,
    AccountRole.CATEGORY_OFFICER,
    AccountRole.REGISTRAR,
)
"""Together they have every permission."""
QUICK = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[RunningConsole]:
    database = new_sqlite(tmp_path)
    running = RunningConsole(database, tmp_path)
    TwoCommunities(running)
    yield running
    running.stop()
    database.close()


def tokens(console: RunningConsole) -> list[str]:
    """One for each of the roles, for the whole hub."""
    made = []
    for role in ROLES:
        name = role.value.replace("_", "-") + "-program"
        console.accounts.create_account(name, "correct horse battery", role)
        made.append(console.accounts.tokens.create(name, "x", PERMISSIONS[role], timedelta(days=1)))
    return made


def described(console: RunningConsole) -> dict[str, Any]:
    with console.client(GUARD) as client:
        document: dict[str, Any] = client.get("/api/v1/openapi.json").json()
    return document


@pytest.mark.timeout(600)
def test_no_request_that_the_document_allows_makes_the_hub_fail(console: RunningConsole) -> None:
    schema = schemathesis.openapi.from_dict(described(console))
    bearers = tokens(console)
    reached: set[int] = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @QUICK
        @given(case=operation.as_strategy(), bearer=st.sampled_from(bearers))
        def ask(case: schemathesis.Case, bearer: str) -> None:
            answer = case.call(base_url=console.url, headers={"Authorization": f"Bearer {bearer}"}, timeout=30)
            reached.add(answer.status_code)
            assert answer.status_code != 500, (case.method, case.path, case.body)
            case.validate_response(answer, checks=[response_schema_conformance])

        ask()
    assert {200, 403, 404, 422} <= reached, reached


def test_the_document_names_every_operation_for_accounts(console: RunningConsole) -> None:
    paths = described(console)["paths"]
    assert "/api/v1/people/{identifier}/reveal" in paths
    assert "/api/v1/access/doors/{gateway}/{device}" in paths
    assert not [path for path in paths if path.startswith("/api/v1/gateway/")]
