"""A gateway's keeping in a process of its own, to be killed in the middle of a clip and of a recording.

Says `writing` once both files hold some fragments, and then waits.
"""

import sys
import time
from pathlib import Path

from edge.keeping.service import KeptCamera
from tests.edge.keeping.parts import ENTERED, Kept
from tests.support.footage import GATE_EAST, Feed, read


def main() -> None:
    kept = Kept(Path(sys.argv[1]), KeptCamera("cam-east", "gate-east", "continuous"))
    kept.keeping.start()
    sink = kept.keeping.sink("cam-east")
    assert sink is not None
    camera = Feed(sink, read(str(GATE_EAST)).times(2), kept.clock.monotonic)
    time.sleep(0.5)  # the recorder takes what comes from its start on
    camera.until(12)
    kept.clock.advance(12)
    event = kept.happens(ENTERED)
    kept.await_open()
    camera.until(20.5)
    kept.clock.advance(8.5)
    files = (kept.folder / "clips" / f"{event.id}.cam-east.mp4", *(kept.folder / "recordings").glob("*/*.mp4"))
    while not (len(files) == 2 and all(file.is_file() and file.stat().st_size > 300_000 for file in files)):
        files = (files[0], *(kept.folder / "recordings").glob("*/*.mp4"))
        time.sleep(0.05)
    sys.stdout.write(f"writing {event.id}\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    main()
