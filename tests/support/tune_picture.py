"""Takes the manual's picture of the tuning page: the demo's street, the shipped detector, a zone drawn with the mouse.

python -m tests.support.tune_picture docs/tune.jpg
"""

import sys
from pathlib import Path

from edge.tuning.server import TuneServer
from edge.tuning.session import TuneSession
from edge.video.address import Address
from edge.video.config import CameraConfig
from models import load_detector
from tests.support.browser import new_context, running_browser
from tests.support.rtsp import CLIPS

LANE = [[0.0, 0.36], [0.5, 0.42], [0.78, 0.58], [0.78, 0.72], [0.4, 0.6], [0.0, 0.45]]
DRAWN = ((0.8, 0.3), (0.99, 0.33), (0.99, 0.7), (0.86, 0.62))


def main(target: Path) -> None:
    """Write the picture."""
    zone = {"id": "z-lane", "polygon": LANE}
    camera = CameraConfig.model_validate({"id": "c", "place": "p", "url": "file:///x", "zone": [zone]})
    session = TuneSession(camera, load_detector(), Address(str(CLIPS / "gate-east.mp4"), "file"), 0.0)
    server = TuneServer(session)
    session.start()
    server.start()
    with running_browser() as browser:
        page = new_context(browser, width=1280, height=720).new_page()
        page.goto(server.url, wait_until="commit")
        page.wait_for_timeout(14_000)
        box = page.locator("#drawing").bounding_box()
        assert box is not None
        for x, y in DRAWN:
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.get_by_label("Name").fill("z-gate")
        page.wait_for_timeout(1_500)
        page.screenshot(path=str(target), type="jpeg", quality=70)
    session.stop()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
