"""What the hub holds of a person, as a page to be read and printed, in Chinese and English; it fetches nothing."""

import json
from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Any

from cloud.disclosure.values import PersonExport

_SECTIONS = {
    "residencies": "住址 Residencies",
    "leases": "租赁合同 Lease contracts",
    "credentials": "门禁凭证 Cards, PINs and plates that open doors",
    "groups": "可通行的门组 Groups of doors that they open",
    "passes_given": "为访客办理的通行码 Passes given to visitors",
    "contacts": "联系人 Contacts",
    "vehicles": "车辆 Vehicles",
    "categories": "服务类别 Service categories",
    "agreements": "关爱约定 Agreements to be looked after",
    "posts": "职务 Posts",
    "events": "通行记录 Events",
    "alarms": "由此产生的报警 Alarms that they raised",
    "holds": "办案保全 Holds for cases",
    "histories": "行踪查询申请 Requests for the history",
    "requests": "本人的请求 Requests of this person",
    "looks": "谁查看过 Who looked, and what for",
    "changes": "登记变更 Changes of the register",
}
_STYLE = (
    "body{font:14px/1.5 sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;width:100%}"
    "th,td{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#eee}h2{margin-top:1.5em}"
)


def person_page(found: PersonExport, at: datetime) -> str:
    """A whole HTML document."""
    return "\n".join(_lines(found, at)) + "\n"


def _lines(found: PersonExport, at: datetime) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
    yield f"<title>个人信息 Personal data</title><style>{_STYLE}</style></head><body>"
    yield "<h1>本系统保存的您的个人信息<br>What this hub holds of you</h1>"
    yield f"<p>{escape(at.isoformat(timespec='minutes'))}</p>"
    yield from _table([found.person])
    for name, entries in found.sections.items():
        yield f"<h2>{escape(_SECTIONS.get(name, name))} ({len(entries)})</h2>"
        yield from _table(entries) if entries else ["<p>无 None</p>"]
    yield "<h2>不在其中 Not in it</h2><ul>"
    for text in (*found.left_out, *_NEVER):
        yield f"<li>{escape(text)}</li>"
    yield "</ul></body></html>"


_NEVER = (
    "密码(PIN)本身 The values of PINs",
    "图片和视频:按地点保存,不与个人关联 Pictures and clips: they show places, and are tied to no person",
    "网关中的凭证哈希 Keyed hashes of your credentials at the gateways",
)


def _table(entries: list[dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for entry in entries for name in entry))
    yield "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in columns) + "</tr>"
    for entry in entries:
        yield "<tr>" + "".join(f"<td>{escape(_text(entry.get(name)))}</td>" for name in columns) + "</tr>"
    yield "</table>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)
