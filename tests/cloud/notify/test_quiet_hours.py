"""When an alarm is told, against a slow and obvious reference: minute by minute."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.alarms.states import Priority
from cloud.notify.outbox import quiet_until
from cloud.notify.settings import QuietHours

TIMES = st.builds(time, st.integers(0, 23), st.sampled_from((0, 1, 30, 59)))
MOMENTS = st.integers(0, 4 * 24 * 60).map(
    lambda minutes: datetime(2026, 10, 23, tzinfo=UTC) + timedelta(minutes=minutes)
)


def reference(quiet: QuietHours, at: datetime, zone: ZoneInfo) -> datetime:
    """The first minute from then on whose time of day is not within the quiet hours."""
    while True:
        clock = at.astimezone(zone).time()
        if quiet.since < quiet.until:
            is_quiet = quiet.since <= clock < quiet.until
        else:
            is_quiet = clock >= quiet.since or clock < quiet.until
        if not is_quiet:
            return at
        at += timedelta(minutes=1)


@settings(max_examples=300, deadline=None)
@given(TIMES, TIMES, MOMENTS)
def test_it_waits_for_the_first_minute_that_is_not_quiet(since: time, until: time, at: datetime) -> None:
    if since == until:
        return
    quiet, zone = QuietHours(since=since, until=until), ZoneInfo("Asia/Shanghai")
    assert quiet_until(quiet, Priority.P2, at, zone) == reference(quiet, at, zone)
    assert quiet_until(quiet, Priority.P1, at, zone) == at
    assert quiet_until(None, Priority.P3, at, zone) == at
