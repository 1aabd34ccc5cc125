"""Rules are data: what is shipped, what is refused, and how versions are kept."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import select

from cloud.database.engine import Database
from cloud.database.tables import RuleEventType
from cloud.rules.book import find_rule, prepare_rules, read_rules, shipped_rules, versions, write_rule
from cloud.rules.definition import KINDS, Match, NoPassage, Rule
from protocols.access_events import AccessDenied
from tests.support.alarms import START
from tests.support.events import new_id

FORCED = {
    "code": "forced",
    "title": "Forced",
    "title_zh": "强开",
    "priority": 2,
    "when": {"kind": "event", "begins": {"types": ["door.forced.v1"]}},
}
PERSONAL = ("category", "categories", "person", "name", "id_number", "phone", "religion", "ethnicity", "score")
"""What a rule could single people out by."""


def fields_of(model: type[BaseModel]) -> set[str]:
    """Every field of a model and of the models in it."""
    found = set(model.model_json_schema()["properties"])
    for inner in model.model_json_schema().get("$defs", {}).values():
        found |= set(inner.get("properties", {}))
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_kind_of_rule_has_a_field_for_a_category_or_a_person(kind: type[BaseModel]) -> None:
    assert not fields_of(kind) & set(PERSONAL)


@pytest.mark.parametrize("field", PERSONAL)
@pytest.mark.parametrize("place", ["rule", "when", "begins", "where"])
def test_a_rule_that_names_a_category_or_a_person_is_refused(field: str, place: str) -> None:
    rule: dict[str, Any] = json.loads(json.dumps(FORCED))
    rule["when"]["begins"]["where"] = {}
    part = {
        "rule": rule,
        "when": rule["when"],
        "begins": rule["when"]["begins"],
        "where": rule["when"]["begins"]["where"],
    }[place]
    part[field] = ["key_personnel"]
    with pytest.raises(ValidationError, match=r"Extra inputs are not permitted|has no field"):
        Rule.model_validate(rule)


def test_the_care_rule_knows_no_category_either_and_tells_the_unit_head_alone() -> None:
    care = {**FORCED, "when": {"kind": "no_passage"}, "audience": "unit_head"}
    assert isinstance(Rule.model_validate(care).when, NoPassage)
    with pytest.raises(ValidationError, match="unit_head"):
        Rule.model_validate({**care, "audience": "duty"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Rule.model_validate({**care, "when": {"kind": "no_passage", "category": "elderly_alone"}})


@pytest.mark.parametrize(
    ("types", "where", "reason"),
    [
        (["door.forced.v9"], {}, "no type of event"),
        (["access.denied.v1"], {"reason": ["bad_mood"]}, "never 'bad_mood'"),
        (["access.denied.v1"], {"mood": ["bad"]}, "no field 'mood'"),
        (["access.denied.v1"], {"credential_hash": ["00"]}, "no choice between words"),
        (["fire.input.v1"], {"active": ["yes"]}, "never 'yes'"),
    ],
)
def test_what_an_event_cannot_say_is_refused_with_the_reason(
    types: list[str], where: dict[str, list[str]], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        Match.model_validate({"types": types, "where": where})


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ({"kind": "repeated", "times": 5, "within_s": 60, "per": ["credential"]}, "counted by subject or by gateway"),
        ({"kind": "event", "ends": [{"types": ["door.closed.v1"]}], "per": ["dwelling"]}, "told apart by subject"),
        ({"kind": "repeated", "times": 1, "within_s": 60}, "greater than or equal to 2"),
        ({"kind": "event", "per": []}, "at least 1 item"),
    ],
)
def test_what_a_rule_cannot_tell_apart_is_refused(when: dict[str, Any], reason: str) -> None:
    begins = {"types": ["door.forced.v1"]}
    with pytest.raises(ValidationError, match=reason):
        Rule.model_validate({**FORCED, "when": {"begins": begins, **when}})


def test_a_field_that_an_event_leaves_out_has_its_default() -> None:
    match = Match.model_validate({"types": [AccessDenied.TYPE], "where": {"decided_by": ["gateway"]}})
    assert match.fits(AccessDenied.TYPE, {})
    assert not match.fits(AccessDenied.TYPE, {"decided_by": "terminal"})


def test_what_is_shipped_covers_what_was_asked_for() -> None:
    codes = {rule.code for rule in shipped_rules()}
    assert codes >= {
        "door_forced", "door_held", "denied_again", "expired_credential", "revoked_credential", "duplicated_credential",
        "two_places", "tailgating", "loitering", "fire_lane", "ebike_in_lift", "camera_silent", "gateway_silent",
        "clock_wrong", "outbox_gap", "no_passage", "tenancy_ends", "occupancy",
    }  # fmt: skip
    assert len(codes) == len(shipped_rules())


def test_shipped_rules_are_written_once_and_a_sites_own_version_stays(database: Database) -> None:
    author = new_id()
    with database.write() as connection:
        prepare_rules(connection, START)
        rule = find_rule(connection, "door_held").rule
        assert write_rule(connection, rule, author, START) == 1, "the same again writes nothing"
        assert write_rule(connection, rule.model_copy(update={"on_delay_s": 5.0}), author, START) == 2
        prepare_rules(connection, START)
        found = find_rule(connection, "door_held")
        assert (found.version, found.account_id, found.rule.on_delay_s) == (2, author, 5.0)
        assert [each.version for each in versions(connection, "door_held")] == [2, 1]
        assert len(read_rules(connection)) == len(shipped_rules())


def test_only_events_that_a_rule_in_force_looks_at_are_marked(database: Database) -> None:
    with database.write() as connection:
        prepare_rules(connection, START)
        wanted = set(connection.execute(select(RuleEventType.type)).scalars())
        assert {"door.forced.v1", "door.closed.v1"} <= wanted
        assert "person.entered_zone.v1" not in wanted
        rule = find_rule(connection, "fire_lane").rule
        write_rule(connection, rule.model_copy(update={"enabled": False}), None, START)
        assert wanted - set(connection.execute(select(RuleEventType.type)).scalars()) == {"vehicle.stood.v1"}
