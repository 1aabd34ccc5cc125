"""Nothing kept is about ethnicity, religion or belief; no rule names a category; no score exists."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import MetaData

from cloud.app_settings import AppSettings
from cloud.categories.kinds import SHIPPED, CategoryKinds
from cloud.categories.never import forbidden_in_basis, forbidden_word
from cloud.config import ConfigurationError, HubConfig, load_config
from cloud.database.engine import Database
from cloud.database.tables import Base
from cloud.register.layout import SHEETS
from cloud.rules.book import shipped_rules
from cloud.rules.definition import KINDS, Match, Rule
from tests.support.console import RunningConsole

INNOCENT_FIELDS = {"score", "points"}
"""Of a camera's finding: how sure it is of what it saw; of a zone: its corners. Neither is a person's."""


def test_no_table_has_a_column_for_such_a_thing(database: Database) -> None:
    found = MetaData()
    found.reflect(database.engine)
    columns = [(table.name, column.name) for table in found.sorted_tables for column in table.columns]
    assert ("service_category", "category_sealed") in columns
    assert [each for each in columns if forbidden_word(each[0]) or forbidden_word(each[1])] == []
    assert set(found.tables) - {"alembic_version"} == set(Base.metadata.tables)


def test_no_column_of_an_import_is_for_such_a_thing() -> None:
    headers = [(column.key, column.chinese, column.example) for sheet in SHEETS for column in sheet.columns]
    assert headers
    assert [each for each in headers if any(map(forbidden_word, each))] == []


def test_no_setting_is_for_such_a_thing() -> None:
    names = sorted(set(_fields(HubConfig, set())))
    assert "grid_code" in names
    assert [name for name in names if forbidden_word(name)] == []
    assert [kind for kind in SHIPPED.values() if forbidden_word(kind.name) or forbidden_word(kind.name_zh)] == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_answer_or_request_of_the_api_has_a_field_for_such_a_thing(database: Database, tmp_path: Path) -> None:
    console = RunningConsole(database, tmp_path)
    try:
        with console.client() as client:
            document = client.get("/api/v1/openapi.json").json()
    finally:
        console.stop()
    names = set(_properties(document))
    assert "legal_basis" in names
    assert {name for name in names if forbidden_word(name)} <= INNOCENT_FIELDS


@pytest.mark.parametrize(
    "named",
    [
        ("minorities", "Service", "服务"),
        ("a", "Ethnic group", "服务"),
        ("a", "RE-LIGION", "服务"),
        ("a", "Catholics of the parish", "服务"),
        ("a", "persons of faith", "服务"),
        ("a", "Credit score", "服务"),
        ("a", "Service", "少数民族"),
        ("a", "Service", "宗 教人士"),
        ("a", "Service", "信教群众"),
        ("a", "Service", "苗族居民"),
        ("a", "Service", "清真寺人员"),
        ("a", "Service", "信用分低"),
        ("a", "Ｒｅｌｉｇｉｏｕｓ", "服务"),
    ],
)
def test_a_category_that_names_such_a_thing_is_refused(named: tuple[str, str, str]) -> None:
    code, name, name_zh = named
    with pytest.raises(ValidationError, match=r"不得登记民族、宗教"):
        CategoryKinds.model_validate({"more": {code: {"name": name, "name_zh": name_zh}}})


@pytest.mark.parametrize(
    ("name", "name_zh"),
    [("Disabled person", "残疾人"), ("Veteran of a clan home", "家族互助"), ("Terrace house, relief", "社区矫正对象")],
)
def test_other_categories_are_taken(name: str, name_zh: str) -> None:
    kinds = CategoryKinds.model_validate({"more": {"x": {"name": name, "name_zh": name_zh}}})
    assert list(kinds.known) == [*SHIPPED, "x"]


def test_the_configuration_names_file_and_line_of_a_category_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text('[web.categories.more.sect]\nname = "Group"\nname_zh = "团体"\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"hub\.toml.*categories.*sect"):
        load_config(path, {})
    path.write_text('[web.categories.more.disabled]\nname = "Disabled"\nname_zh = "残疾人"\n', encoding="utf-8")
    assert "disabled" in load_config(path, {}).web.categories.known


def test_shipped_categories_cannot_be_given_another_meaning() -> None:
    with pytest.raises(ValidationError, match="comes with Gatehouse"):
        AppSettings.model_validate({"categories": {"more": {"renter": {"name": "x", "name_zh": "x"}}}})


def test_the_name_of_an_autonomous_county_is_a_sound_part_of_a_basis() -> None:
    assert forbidden_in_basis("紫云苗族布依族自治县民政局〔2026〕12号") is None
    assert forbidden_in_basis("黄腊布依族苗族乡人民政府决定") is None
    assert forbidden_in_basis("紫云苗族布依族自治县的苗族居民") is not None
    assert forbidden_in_basis("信仰佛教") is not None


def test_no_rule_can_name_a_category() -> None:
    """A rule's fields are counted up: none leads to the register's categories. The care rule looks at agreements."""
    fields = set(_fields(Rule, set()))
    assert {"when", "where", "types"} <= fields
    assert [name for name in fields if "categor" in name] == []
    for kind in (*KINDS, Match):
        with pytest.raises(ValidationError):
            kind.model_validate({"category": "key_personnel"})
    rule = json.loads(shipped_rules()[0].model_dump_json())
    with pytest.raises(ValidationError, match="category"):
        Rule.model_validate({**rule, "category": "key_personnel"})
    begins = {"types": ["access.denied.v1"], "where": {"category": ["key_personnel"]}}
    with pytest.raises(ValidationError, match="no field 'category'"):
        Rule.model_validate({**rule, "when": {"kind": "event", "begins": begins}})


def test_the_code_of_rules_and_alarms_does_not_read_categories() -> None:
    import cloud.alarms
    import cloud.rules

    for package in (cloud.rules, cloud.alarms):
        for file in Path(inspect.getfile(package)).parent.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "ServiceCategory" not in text, file
            assert "cloud.categories" not in text, file


def _fields(model: type[BaseModel], seen: set[type]) -> Iterator[str]:
    """The names of a model's fields, and of the models in them."""
    seen.add(model)
    for name, field in model.model_fields.items():
        yield name
        for inner in _models_in(field.annotation):
            if inner not in seen:
                yield from _fields(inner, seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)


def _properties(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            yield from part["properties"]
        for each in part.values():
            yield from _properties(each)
    elif isinstance(part, list):
        for each in part:
            yield from _properties(each)
