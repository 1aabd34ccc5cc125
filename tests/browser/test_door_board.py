"""The door board, and the release of a door with its outcome in words."""

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import update

from cloud.audit import verify_chain
from cloud.database.tables import CommandRecord, Gateway
from protocols.access_events import DoorForced, DoorHeld
from protocols.commands import ReplyState
from tests.support.console import RunningConsole, utc_now
from tests.support.events import opened

ANSWER_MS = 10_000


def card(desk: Page, device: str = "d-east") -> Locator:
    return desk.locator(f'[data-door="gw-quiet/{device}"]')


def press_twice(desk: Page, device: str = "d-east") -> None:
    button = card(desk, device).get_by_role("button")
    button.click()
    expect(button).to_have_attribute("data-armed", "true")
    desk.wait_for_timeout(400)  # a second press sooner than 350 ms counts as a double click
    button.click()


def test_every_door_shows_its_state_in_words_and_changes_as_it_happens(desk: Page, console: RunningConsole) -> None:
    expect(desk.locator(".door")).to_have_count(3)
    expect(card(desk)).to_contain_text("状态未知")
    for data, state, words in (
        (opened(), "open", "已打开"),
        (DoorHeld(open_s=31), "held", "未关超时"),
        (DoorForced(), "forced", "强行打开"),
    ):
        console.store(console.seed.gateway.event(data, at=utc_now()))
        expect(card(desk)).to_have_attribute("data-state", state, timeout=ANSWER_MS)
        expect(card(desk)).to_contain_text(words)
    expect(desk.locator("#board-summary")).to_have_text("共 3 扇,需处理 1 扇")


def test_one_press_and_a_double_click_release_nothing(desk: Page, console: RunningConsole) -> None:
    button = card(desk).get_by_role("button")
    button.dblclick()
    expect(card(desk)).to_contain_text("再按一次,打开东门")
    desk.keyboard.press("Escape")
    expect(card(desk)).to_contain_text("已取消")
    button.click()
    desk.get_by_role("button", name="门禁").click()
    expect(button).to_have_attribute("data-armed", "false")
    assert console.sent == []


def test_a_release_is_followed_to_its_end(desk: Page, console: RunningConsole) -> None:
    press_twice(desk)
    expect(card(desk)).to_contain_text("已发送,等待网关应答", timeout=ANSWER_MS)
    corr = console.last_command()
    console.answer(corr, ReplyState.ACCEPTED)
    expect(card(desk)).to_contain_text("网关已接受", timeout=ANSWER_MS)
    console.answer(corr, ReplyState.DONE)
    expect(card(desk)).to_contain_text("已开门", timeout=ANSWER_MS)
    assert verify_chain(console.database)[0] >= 3


@pytest.mark.parametrize(
    ("state", "reason", "code", "words"),
    [
        (ReplyState.FAILED, 'reader "r1" is offline', "reader_offline", "开门失败:控制门锁的读卡器离线"),
        (ReplyState.FAILED, "strike jammed", "strike_jammed", "开门失败:strike jammed"),
        (ReplyState.FAILED, "strike jammed", None, "开门失败:strike jammed"),
        (ReplyState.EXPIRED, "", "expired", "指令已过期,没有执行"),
    ],
)
def test_a_release_that_does_not_happen_says_so(
    desk: Page, console: RunningConsole, state: ReplyState, reason: str, code: str | None, words: str
) -> None:
    press_twice(desk)
    console.answer(console.last_command(), state, reason, code)
    expect(card(desk)).to_contain_text(words, timeout=ANSWER_MS)


def test_no_answer_is_a_failure_and_a_late_answer_still_counts(desk: Page, console: RunningConsole) -> None:
    press_twice(desk)
    corr = console.last_command()
    with console.database.write() as connection:
        long_ago = utc_now().replace(year=2020)
        connection.execute(update(CommandRecord).where(CommandRecord.corr == corr).values(expires_at=long_ago))
    expect(card(desk)).to_contain_text("失败:网关没有应答", timeout=ANSWER_MS)
    console.answer(corr, ReplyState.DONE)
    expect(card(desk)).to_contain_text("已开门", timeout=ANSWER_MS)


def test_a_door_is_released_by_keyboard_alone(desk: Page, console: RunningConsole) -> None:
    button = card(desk).get_by_role("button")
    for _ in range(40):
        desk.keyboard.press("Tab")
        if button.evaluate("(button) => button === document.activeElement"):
            break
    desk.keyboard.press("Enter")
    expect(button).to_have_attribute("data-armed", "true")
    desk.wait_for_timeout(400)  # as above
    desk.keyboard.press("Enter")
    console.answer(console.last_command(), ReplyState.DONE)
    expect(card(desk)).to_contain_text("已开门", timeout=ANSWER_MS)
    expect(button).to_be_focused()


def test_a_door_whose_gateway_is_away_cannot_be_released_and_says_why(desk: Page, console: RunningConsole) -> None:
    expect(card(desk).get_by_role("button")).to_be_enabled()
    with console.database.write() as connection:
        connection.execute(update(Gateway).values(presence="offline", presence_at=utc_now()))
    expect(card(desk).get_by_role("button")).to_be_disabled(timeout=5000)
    expect(card(desk)).to_contain_text("网关不在线,不能开门")
    expect(desk.locator("#gateways")).to_contain_text("gw-quiet 离线")
