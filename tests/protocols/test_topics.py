"""The topic layout: what is written is read back, and nothing else is taken for a topic of ours."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import topics
from protocols.base import ProtocolError
from protocols.topics import Channel, EventClass, UpTopic

GATEWAYS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,38}", fullmatch=True).filter(lambda name: name != "hub")


@given(GATEWAYS, st.sampled_from(EventClass))
def test_upward_topics_are_read_back(gateway: str, kind: EventClass) -> None:
    corr = uuid4()
    assert topics.parse_up(topics.event(gateway, kind)) == UpTopic(gateway, Channel.EVENT, kind)
    assert topics.parse_up(topics.state(gateway)) == UpTopic(gateway, Channel.STATE)
    assert topics.parse_up(topics.response(gateway, corr)) == UpTopic(gateway, Channel.RESPONSE, str(corr))
    assert topics.parse_up(topics.ask(gateway)) == UpTopic(gateway, Channel.ASK)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "gh/v2/east/up/state",
        "gh/v1/hub/up/state",
        "gh/v1/East/up/state",
        "gh/v1/a.b/up/state",
        "gh/v1//up/state",
        "gh/v1/east/down/receipt",
        "gh/v1/east/up/event/other",
        "gh/v1/east/up/event",
        "gh/v1/east/up/state/more",
        "gh/v1/hub/state",
    ],
)
def test_any_other_topic_is_refused(topic: str) -> None:
    with pytest.raises(ProtocolError):
        topics.parse_up(topic)


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(ProtocolError):
        topics.parse_up(f"gh/v1/east/up/{text}/x")


def test_one_pattern_covers_what_a_gateway_reads_and_one_what_it_writes() -> None:
    corr = uuid4()
    down = [
        topics.command("east", corr),
        topics.receipt("east"),
        topics.configuration("east"),
        topics.credential_head("east"),
        topics.credential_delta("east"),
    ]
    up = [
        topics.event("east", EventClass.ACCESS),
        topics.state("east"),
        topics.response("east", corr),
        topics.ask("east"),
    ]
    assert all(topic.startswith("gh/v1/east/down/") for topic in down)
    assert all(topic.startswith("gh/v1/east/up/") for topic in up)
