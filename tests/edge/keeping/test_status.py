"""How keeping shows itself: in `/metrics` and `/healthz`."""

import json
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

from edge.daemon import _keeping_health
from edge.keeping.config import KeepingSection
from edge.keeping.service import KeptCamera
from edge.metrics import _keeping
from protocols.clip_events import KeepingLevel
from tests.edge.keeping.parts import Kept
from tests.support.footage import GATE_EAST, Feed, read
from tests.support.gateways import eventually


def figures(kept: Kept) -> dict[tuple[str, ...], float]:
    families = [family for family in _keeping(kept.keeping.status()) if isinstance(family, GaugeMetricFamily)]
    return {
        (sample.name.removeprefix("gatehouse_edge_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_figures_tell_what_is_kept_and_what_is_not(tmp_path: Path) -> None:
    room = [10**12]
    kept = Kept(
        tmp_path, KeptCamera("cam-east", "gate-east", "continuous"), section=KeepingSection(segment_s=5),
        free=lambda _folder: room[0],
    )  # fmt: skip
    kept.keeping.start()
    sink = kept.keeping.sink("cam-east")
    assert sink is not None
    Feed(sink, read(str(GATE_EAST)), kept.clock.monotonic).until(14)
    kept.clock.advance(14)
    eventually(lambda: figures(kept).get(("kept_bytes", "recording"), 0) > 100_000)
    eventually(lambda: figures(kept)[("keeping_free_bytes",)] == 10**12)
    well = figures(kept)
    assert well["keeping_level", "all"] == 1
    assert well["keeping_usable",] == 1
    assert well["ring_bytes", "cam-east"] > 100_000
    assert well["keeping_days", "until_full"] > 0
    assert kept.keeping.status().is_well

    room[0] = 0
    kept.clock.advance(6)
    eventually(lambda: figures(kept)["keeping_level", "nothing"] == 1)
    status = kept.keeping.status()
    health = json.loads(json.dumps(_keeping_health(status), default=str))
    assert (health["level"], health["free_bytes"], status.is_well) == (KeepingLevel.NOTHING, 0, False)
    assert _keeping_health(None) == {}
    kept.keeping.stop()
