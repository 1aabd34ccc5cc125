"""The live list: rows as they come, masked, filtered, with snapshots; and a link that breaks."""

import hashlib
import time
from datetime import timedelta

import cv2
import httpx
import numpy as np
from playwright.sync_api import Page, expect

from protocols.access_events import AccessDenied, AccessMethod, DenialReason, DoorForced
from protocols.clip_events import ClipKept, ClipLossReason, ClipLost
from protocols.clips import part_path
from protocols.events import CameraOnline, Event, PersonLeftZone, Snapshot
from protocols.http_auth import authorise
from tests.support.console import FULL_NAME, RunningConsole, utc_now
from tests.support.events import granted, opened


def shown_ids(page: Page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#rows tr')].map((row) => row.dataset.id)")


def test_a_stored_event_is_on_the_page_within_a_second_with_the_name_masked(
    desk: Page, console: RunningConsole
) -> None:
    event = console.seed.gateway.event(granted(console.seed.credential), at=utc_now())

    console.store(event)

    row = desk.locator(f'#rows tr[data-id="{event.id}"]')
    expect(row).to_be_visible(timeout=1000)
    for text in ("刷卡放行", "凭证有效", "欧阳*", "3栋 2单元 501", "东门岗", "东门"):
        expect(row).to_contain_text(text)
    assert FULL_NAME not in desk.content()


def test_a_refusal_says_why(desk: Page, console: RunningConsole) -> None:
    denied = AccessDenied(
        reader="r-east-in",
        method=AccessMethod.CARD,
        reason=DenialReason.UNKNOWN_CREDENTIAL,
        policy_version=1,
        decision_us=1,
    )
    console.store(console.seed.gateway.event(denied, at=utc_now()))
    row = desk.locator("#rows tr").first
    for text in ("刷卡被拒", "拒绝", "未登记的卡", "未登记"):
        expect(row).to_contain_text(text)


def kept(events: tuple[Event, ...], film: bytes, *, unmasked: bool = False) -> ClipKept:
    since, sha256 = utc_now() - timedelta(seconds=15), hashlib.sha256(film).hexdigest()
    return ClipKept(
        clip=events[0].id, sha256=sha256, size_bytes=len(film), codec="h264", since=since,
        until=since + timedelta(seconds=15), events=tuple(event.id for event in events), unmasked=unmasked,
    )  # fmt: skip


def test_a_clip_is_watched_from_its_event_and_makes_no_row_of_its_own(desk: Page, console: RunningConsole) -> None:
    film, gateway = b"\0\0\0\x10ftypiso5\0\0\0\0" + bytes(100), console.seed.gateway
    alarm, opening = gateway.event(DoorForced(), at=utc_now()), gateway.event(opened(), at=utc_now())
    clip = kept((alarm, opening), film)
    path = part_path(clip.sha256, len(film), 0)
    header = authorise(gateway.name, gateway.key.secret, "PUT", path, film, int(time.time()))
    assert httpx.put(console.url + path, content=film, headers={"Authorization": header}).status_code == 201
    console.store(alarm)
    told = gateway.event(clip, "c-east", at=utc_now())
    console.store(told)
    console.store(opening)  # behind what is told of its clip
    for _ in range(2):
        for event in (alarm, opening):
            link = desk.locator(f'#rows tr[data-id="{event.id}"]').get_by_role("link", name="查看录像")
            expect(link).to_have_attribute("href", f"/api/v1/clips/{clip.sha256}?event={told.id}")
        expect(desk.locator("#rows tr")).to_have_count(2)
        desk.reload()
    answer = desk.request.get(console.url + f"/api/v1/clips/{clip.sha256}")
    assert (answer.status, answer.body()) == (200, film)


def test_an_alarm_s_clips_are_told_in_the_list_of_alarms_with_what_is_wrong_about_them(
    desk: Page, console: RunningConsole
) -> None:
    gateway = console.seed.gateway
    alarm = gateway.event(DoorForced(), at=utc_now())
    desk.get_by_role("button", name="告警").click()
    console.store(alarm)
    row = desk.locator(f'#rows tr[data-id="{alarm.id}"]')
    expect(row).to_be_visible()
    console.store(gateway.event(kept((alarm,), b"one", unmasked=True), "c-east", at=utc_now()))
    lost = ClipLost(clip=alarm.id, reason=ClipLossReason.NO_VIDEO, events=(alarm.id,))
    console.store(gateway.event(lost, "c-west", at=utc_now()))
    for _ in range(2):
        expect(row.locator(".clips > span")).to_have_count(2)
        expect(row.locator(".clips > span").first).to_contain_text("未加隐私遮挡")
        expect(row.locator(".clips > span").first).to_contain_text("c-east")
        expect(row.locator(".clips > span").last).to_contain_text("无录像:摄像机无画面")
        desk.get_by_role("button", name="全部").click()
        desk.get_by_role("button", name="告警").click()


def test_a_clip_told_while_the_link_was_lost_is_on_its_event_after_it(desk: Page, console: RunningConsole) -> None:
    alarm = console.seed.gateway.event(DoorForced(), at=utc_now())
    console.store(alarm)
    row = desk.locator(f'#rows tr[data-id="{alarm.id}"]')
    expect(row).to_be_visible()
    console.stop()
    expect(desk.locator("#lost")).to_be_visible(timeout=5000)
    console.seed.store(console.seed.gateway.event(kept((alarm,), b"film"), "c-east", at=utc_now()))
    console.start()
    expect(row.get_by_role("link", name="查看录像")).to_be_visible(timeout=10000)


def test_rows_are_sorted_by_arrival_and_a_late_one_is_marked(desk: Page, console: RunningConsole) -> None:
    gateway = console.seed.gateway
    first = gateway.event(opened(), at=utc_now())
    late = gateway.event(opened(), at=utc_now() - timedelta(hours=2))
    console.store(first)
    expect(desk.locator("#rows tr")).to_have_count(1)
    console.store(late)
    expect(desk.locator("#rows tr")).to_have_count(2)
    assert shown_ids(desk) == [str(late.id), str(first.id)]
    expect(desk.locator("#rows tr").first).to_contain_text("补传")


def test_the_page_is_narrowed_to_a_kind_of_event(desk: Page, console: RunningConsole) -> None:
    gateway = console.seed.gateway
    door = gateway.event(opened(), at=utc_now())
    camera = gateway.event(CameraOnline(width=640, height=360, codec="h264"), "c-east", at=utc_now())
    alarm = gateway.event(DoorForced(), at=utc_now())
    console.store(door, camera, alarm)
    expect(desk.locator("#rows tr")).to_have_count(3)

    desk.get_by_role("button", name="摄像机").click()
    expect(desk.locator("#rows tr")).to_have_count(1)
    assert shown_ids(desk) == [str(camera.id)]

    desk.get_by_role("button", name="告警").click()
    expect(desk.locator("#rows tr")).to_have_count(1)
    later = gateway.event(DoorForced(), "d-lobby", at=utc_now())
    console.store(later, gateway.event(opened(), at=utc_now()))
    expect(desk.locator("#rows tr")).to_have_count(2)
    assert shown_ids(desk) == [str(later.id), str(alarm.id)]


def test_a_snapshot_that_comes_after_its_event_is_shown_and_enlarged(desk: Page, console: RunningConsole) -> None:
    gateway = console.seed.gateway
    picture = np.full((240, 320, 3), 128, np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    name = hashlib.sha256(jpeg).hexdigest()
    left = PersonLeftZone(
        zone="z-door",
        track=1,
        dwell_s=3.0,
        snapshot=Snapshot(sha256=name, size_bytes=len(jpeg), width=320, height=240),
    )
    console.store(gateway.event(left, "c-east", at=utc_now()))
    thumb = desk.locator(".thumb")
    expect(thumb).to_have_attribute("data-state", "waiting")

    path = f"/api/v1/gateway/pictures/{name}"
    header = authorise(gateway.name, gateway.key.secret, "PUT", path, jpeg, int(time.time()))
    assert httpx.put(console.url + path, content=jpeg, headers={"Authorization": header}).status_code == 201

    expect(thumb).to_have_attribute("data-state", "shown")
    thumb.click()
    expect(desk.get_by_role("dialog")).to_be_visible()
    assert desk.evaluate("document.querySelector('#viewer-picture').naturalWidth") == 320
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("dialog")).to_be_hidden()


def test_a_lost_link_is_told_within_five_seconds_and_nothing_is_lost_or_doubled(
    desk: Page, console: RunningConsole
) -> None:
    gateway = console.seed.gateway
    before = [gateway.event(opened(), at=utc_now()) for _ in range(3)]
    console.store(*before)
    expect(desk.locator("#rows tr")).to_have_count(3)

    console.stop()
    expect(desk.locator("#lost")).to_be_visible(timeout=5000)
    release = desk.get_by_role("button", name="打开东门")
    expect(release).to_be_disabled()
    expect(desk.locator('[data-door="gw-quiet/d-east"] .outcome')).to_have_text("未连接中心,不能开门")
    meanwhile = [gateway.event(opened(), at=utc_now()) for _ in range(5)]
    console.seed.store(*meanwhile)

    console.start()
    expect(desk.locator("#lost")).to_be_hidden(timeout=8000)
    after = gateway.event(opened(), at=utc_now())
    console.store(after)

    expect(desk.locator("#rows tr")).to_have_count(9)
    assert sorted(shown_ids(desk)) == sorted(str(event.id) for event in (*before, *meanwhile, after))
    expect(release).to_be_enabled()


def test_the_page_holds_two_hundred_rows_and_the_newest_stay(desk: Page, console: RunningConsole) -> None:
    gateway = console.seed.gateway
    for _ in range(3):
        console.store(*(gateway.event(opened(), at=utc_now()) for _ in range(90)))
    last = gateway.event(opened(), at=utc_now())
    console.store(last)
    expect(desk.locator(f'#rows tr[data-id="{last.id}"]')).to_be_visible()
    expect(desk.locator("#rows tr")).to_have_count(200)
    ids = shown_ids(desk)
    assert ids[0] == str(last.id)
    assert len(set(ids)) == 200
