"""The sheets of an import file and their columns, in Chinese and English (docs/register.md)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: its English and Chinese header, and an example for the template."""

    key: str
    chinese: str
    required: bool = False
    example: str = ""

    @property
    def shown(self) -> str:
        return f"{self.chinese} ({self.key})"


@dataclass(frozen=True)
class Sheet:
    """A sheet, or the CSV file of that name."""

    key: str
    chinese: str
    columns: tuple[Column, ...]

    @property
    def headers(self) -> str:
        """The expected headers, for a person who wrote another one."""
        return ", ".join(column.shown for column in self.columns)

    def column(self, header: str) -> Column | None:
        """The column that a header means."""
        wanted = normal(header)
        return next((each for each in self.columns if wanted in (normal(each.key), normal(each.chinese))), None)


def normal(text: str) -> str:
    """A header as it is compared: without case, spaces, underscores and the star of a required column."""
    return "".join(text.lower().split()).replace("_", "").replace("*", "")


PLACES = Sheet(
    "places",
    "位置",
    (
        Column("code", "编码", True, "aj-3-2-501"),
        Column("kind", "类型", True, "dwelling"),
        Column("name", "名称", True, "501"),
        Column("parent", "上级编码", False, "aj-3-2"),
        Column("division", "区划代码", False, ""),
    ),
)
GRIDS = Sheet(
    "grids",
    "网格",
    (
        Column("code", "编码", True, "520402001001-01"),
        Column("name", "名称", True, "第一网格"),
        Column("place", "位置编码", True, "aj"),
        Column("parent", "上级网格", False, ""),
        Column("since", "设立日期", True, "2024-01-31"),
        Column("until", "撤销日期", False, ""),
    ),
)
JOINT_UNITS = Sheet(
    "joint_units",
    "联户单元",
    (
        Column("code", "编码", True, "aj-l-01"),
        Column("name", "名称", True, "第一联户单元"),
        Column("place", "位置编码", True, "aj"),
        Column("grid", "网格", False, "520402001001-01"),
        Column("since", "设立日期", True, "2024-01-31"),
        Column("until", "撤销日期", False, ""),
    ),
)
MEMBERSHIPS = Sheet(
    "memberships",
    "网格归属",
    (
        Column("place", "位置编码", True, "aj-3"),
        Column("grid", "网格", False, "520402001001-01"),
        Column("joint_unit", "联户单元", False, "aj-l-01"),
        Column("since", "开始日期", True, "2024-01-31"),
        Column("until", "结束日期", False, ""),
    ),
)
HOUSEHOLDS = Sheet(
    "households",
    "家庭",
    (
        Column("code", "户编号", True, "aj-3-2-501-1"),
        Column("dwelling", "房屋编码", True, "aj-3-2-501"),
        Column("since", "入住日期", True, "2024-01-31"),
        Column("until", "迁出日期", False, ""),
    ),
)
SCHEDULES = Sheet(
    "schedules",
    "时间表",
    (
        Column("code", "编码", True, "daytime"),
        Column("name", "名称", True, "白天"),
        Column("days", "星期", True, "mon-fri"),
        Column("from", "开始", True, "06:00"),
        Column("until", "结束", True, "22:30"),
    ),
)
DOORS = Sheet(
    "doors",
    "门",
    (
        Column("gateway", "网关", True, "gw-east"),
        Column("device", "设备", True, "d-east"),
        Column("place", "位置编码", True, "gate-east"),
        Column("name", "名称", True, "东门"),
    ),
)
DOOR_GROUPS = Sheet(
    "door_groups",
    "门组",
    (
        Column("code", "编码", True, "residents"),
        Column("name", "名称", True, "住户"),
        Column("schedule", "时间表", True, "daytime"),
        Column("doors", "门", True, "gw-east/d-east; gw-east/d-lobby"),
    ),
)
RESIDENTS = Sheet(
    "residents",
    "住户",
    (
        Column("name", "姓名", True, "张伟"),
        Column("id_number", "身份证号", False, ""),
        Column("phone", "电话", False, ""),
        Column("dwelling", "房屋编码", True, "aj-3-2-501"),
        Column("role", "身份", True, "owner"),
        Column("since", "入住日期", True, "2024-01-31"),
        Column("until", "迁出日期", False, ""),
        Column("card", "卡号", False, "w26:12:345"),
        Column("card_since", "卡生效日期", False, ""),
        Column("card_until", "卡失效日期", False, ""),
        Column("groups", "门组", False, "residents"),
        Column("household", "户编号", False, "aj-3-2-501-1"),
        Column("lease", "合同编号", False, ""),
        Column("lease_since", "租期开始", False, ""),
        Column("lease_until", "租期结束", False, ""),
    ),
)
_WHO = (
    Column("name", "姓名", True, "张伟"),
    Column("id_number", "身份证号", False, ""),
    Column("dwelling", "房屋编码", False, "aj-3-2-501"),
)
POSTS = Sheet(
    "posts",
    "任职",
    (
        Column("kind", "职务", True, "unit_head"),
        Column("code", "网格或联户单元", True, "aj-l-01"),
        *_WHO,
        Column("since", "开始日期", True, "2024-01-31"),
        Column("until", "结束日期", False, ""),
    ),
)
CONTACTS = Sheet(
    "contacts",
    "联系人",
    (
        *_WHO,
        Column("contact", "联系人姓名", True, "张敏"),
        Column("relation", "关系", False, "女儿"),
        Column("phone", "联系电话", True, ""),
    ),
)
VEHICLES = Sheet(
    "vehicles",
    "车辆",
    (
        *_WHO,
        Column("plate", "车牌号", True, "贵G12345"),
        Column("description", "车辆说明", False, "白色轿车"),
        Column("since", "开始日期", True, "2024-01-31"),
        Column("until", "结束日期", False, ""),
    ),
)
GUESTS = Sheet(
    "guests",
    "访客",
    (
        Column("dwelling", "房屋编码", True, "aj-3-2-501"),
        Column("name", "姓名", True, "王芳"),
        Column("phone", "电话", False, ""),
        Column("since", "来访日期", True, "2024-01-31"),
        Column("until", "离开日期", True, "2024-02-03"),
    ),
)
SHEETS = (
    *(PLACES, GRIDS, JOINT_UNITS, MEMBERSHIPS, SCHEDULES, DOORS, DOOR_GROUPS, HOUSEHOLDS, RESIDENTS),
    *(POSTS, CONTACTS, VEHICLES, GUESTS),
)
"""In the order in which they are taken up: each may name what stands before it."""

OF_PERSONS = (RESIDENTS, POSTS, CONTACTS, VEHICLES, GUESTS)
"""The sheets whose `name` is a person's."""

NOTES = ("说明", "notes")
"""The template's page for people; not read."""


def sheet_named(name: str, sheets: Sequence[Sheet] = SHEETS) -> Sheet | None:
    """The sheet that a title or a file's stem means."""
    return next((each for each in sheets if normal(name) in (normal(each.key), normal(each.chinese))), None)
