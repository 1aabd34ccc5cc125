"""The panel of leases that end: whose and when, in both languages, and the mark of who dealt with one."""

from datetime import timedelta

from playwright.sync_api import Locator, Page, Route, expect
from sqlalchemy import select, update

from cloud.audit import verify_chain
from cloud.database import tables
from tests.browser.test_accessibility import SMALL_TARGETS, SMALLEST_TEXT, grave
from tests.support.browser import log_in
from tests.support.console import FULL_NAME, GUARD, PASSWORD, RunningConsole, utc_now
from tests.support.leases import add_tenant

ANSWER_MS = 5000
HALF_A_DAY = timedelta(hours=12)


def card(page: Page, residency: str) -> Locator:
    return page.locator(f'[data-lease="{residency}"]')


def test_leases_that_end_and_in_grace_are_listed_nearest_first_with_masked_names(
    page: Page, console: RunningConsole
) -> None:
    later = add_tenant(console, timedelta(days=6, hours=12), number="601")
    sooner = add_tenant(console, timedelta(days=-2, hours=-12), "张三丰", "602")
    add_tenant(console, timedelta(days=20), "李四", "603")

    log_in(page, console.url, GUARD, PASSWORD)

    expect(page.locator("#leases-summary")).to_have_text("共 2 份,待处理 2 份")
    assert page.evaluate("[...document.querySelectorAll('.lease')].map((e) => e.dataset.lease)") == [sooner, later]
    for text in ("张*", "3栋 2单元 602", "租户", "已于", "宽限至", "还剩 1 天"):
        expect(card(page, sooner)).to_contain_text(text)
    for text in ("欧阳*", "3栋 2单元 601", "到期", "还剩 7 天"):
        expect(card(page, later)).to_contain_text(text)
    assert FULL_NAME not in page.content()
    assert "三丰" not in page.content()


def test_a_lease_is_marked_by_whoever_deals_with_it_and_stays_marked(desk: Page, console: RunningConsole) -> None:
    expect(desk.locator("#leases-summary")).to_have_text("7 天内没有到期租约")
    residency = add_tenant(console, HALF_A_DAY)
    desk.reload()

    card(desk, residency).get_by_role("button", name="标记为已处理:欧阳*,3栋 2单元 501").click()

    expect(card(desk, residency)).to_contain_text("guard 已于", timeout=ANSWER_MS)
    expect(card(desk, residency).get_by_role("button")).to_be_hidden()
    expect(desk.locator("#leases-summary")).to_have_text("共 1 份,待处理 0 份")
    desk.reload()
    expect(card(desk, residency)).to_contain_text("guard 已于", timeout=ANSWER_MS)
    with console.database.read() as connection:
        marked = select(tables.AuditEntry.detail).where(tables.AuditEntry.action == "lease.dealt_with")
        [detail] = connection.execute(marked).scalars()
    assert detail["residency"] == residency
    assert verify_chain(console.database)[0] >= 2


def test_the_panel_reads_itself_anew(page: Page, console: RunningConsole) -> None:
    """Within a minute, which the test's page passes at once."""
    page.clock.install()
    log_in(page, console.url, GUARD, PASSWORD)
    expect(page.locator("#leases-summary")).to_have_text("7 天内没有到期租约")
    residency = add_tenant(console, HALF_A_DAY)

    page.clock.fast_forward(60_000)

    expect(card(page, residency)).to_be_visible(timeout=20_000)


def test_what_could_not_be_marked_says_so_and_can_be_tried_again(desk: Page, console: RunningConsole) -> None:
    residency = add_tenant(console, HALF_A_DAY)
    desk.reload()
    expect(card(desk, residency)).to_be_visible()

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body="{}")

    desk.route("**/dealt-with", refuse)
    card(desk, residency).get_by_role("button").click()
    expect(card(desk, residency)).to_contain_text("中心没有标记(错误 503)", timeout=ANSWER_MS)
    desk.unroute("**/dealt-with", refuse)
    card(desk, residency).get_by_role("button").click()
    expect(card(desk, residency)).to_contain_text("guard 已于", timeout=ANSWER_MS)


def test_a_lease_that_was_prolonged_meanwhile_goes_from_the_list(desk: Page, console: RunningConsole) -> None:
    residency = add_tenant(console, HALF_A_DAY)
    desk.reload()
    expect(card(desk, residency)).to_be_visible()
    with console.database.write() as connection:
        connection.execute(update(tables.Residency).values(until=utc_now() + timedelta(days=300)))

    card(desk, residency).get_by_role("button").click()

    expect(card(desk, residency)).to_have_count(0, timeout=ANSWER_MS)


def test_the_panel_speaks_english_and_axe_finds_nothing_grave(desk: Page, console: RunningConsole) -> None:
    ending, grace = add_tenant(console, timedelta(days=2, hours=12)), add_tenant(console, -HALF_A_DAY, number="502")
    desk.goto(f"{console.url}/preferences?language=en")
    expect(desk.locator("#leases-title")).to_have_text("Leases that end")
    expect(desk.locator("#leases-summary")).to_have_text("2 leases, 2 to deal with")
    for text in ("欧阳*", "tenant", "Ends", "days left: 3"):
        expect(card(desk, ending)).to_contain_text(text)
    for text in ("Ended", "access goes on until", "days left: 3"):
        expect(card(desk, grace)).to_contain_text(text)
    card(desk, grace).get_by_role("button", name="Mark as dealt with: 欧阳*").click()
    expect(card(desk, grace)).to_contain_text("Dealt with by guard", timeout=ANSWER_MS)

    assert grave(desk) == []
    assert desk.evaluate(SMALLEST_TEXT) >= 16
    assert desk.evaluate(SMALL_TARGETS) == []
