"""What is drawn on the demo's pictures, and the rules that its clips set off within half a minute: each kind once.

The clips know nothing of the doors: who walks westwards in the first one counts as coming in at the west gate, where
the demo presents cards to a UHPPOTE board at certain seconds of that clip. In the second one the lens is covered after
12 s. In the third, which is drawn, a bicycle comes into the lobby of a lift after 3 s, stands there alone, and goes
after 15 s; at 21 s an e-bike comes, which the detector takes for a motorcycle, and goes after 25 s.
"""

from gatehouse.demo.layout import BOARD_DOOR, CAMERAS

EAST, NORTH, LIFT = (camera.id for camera in CAMERAS)
EAST_CLIP = CAMERAS[0].clip
RESIDENTS_COME_S = (5.5, 14.5, 26.0)
"""Seconds of that clip, as the server sends it, at which a resident's card lets one person in. Two or three come in
about then; at 19 s somebody does for whom there is no card. The gateway may see them up to 4 s later (once: 2 s)."""
FORMER_TENANTS_COME_S = (10.0, 19.5, 31.0)
"""And at which the card of somebody who has moved out is refused."""

_ON_EAST = f"""
[[camera.zone]]
id = "z-lamp"
polygon = [[0.46, 0.36], [0.64, 0.36], [0.64, 0.52], [0.46, 0.52]]
classes = []
[[camera.zone]]
id = "z-plot"
polygon = [[0.28, 0.35], [0.46, 0.35], [0.46, 0.52], [0.28, 0.52]]
classes = []
[[camera.line]]
id = "l-path"
points = [[0.7, 0.9], [0.7, 0.1]]
to_left = "west"
to_right = "east"
[[camera.rule]]
id = "r-path"
kind = "line_crossing"
line = "l-path"
[[camera.rule]]
id = "r-plot"
kind = "forbidden"
zone = "z-plot"
hours = ["mon-sun 00:00-24:00"]
cool_down_s = 5
[[camera.rule]]
id = "r-lamp"
kind = "loitering"
zone = "z-lamp"
min_s = 6
cool_down_s = 20
[[camera.rule]]
id = "r-crowd"
kind = "crowd"
persons = 6
min_s = 2
cool_down_s = 20
[[camera.rule]]
id = "r-west"
kind = "tailgating"
door = "{BOARD_DOOR.id}"
line = "l-path"
direction = "west"
window_s = 4
min_s = 2
cool_down_s = 3
"""
_ON_NORTH = """
[[camera.zone]]
id = "z-fire-lane"
polygon = [[0.8, 0.1], [1.0, 0.1], [1.0, 0.25], [0.8, 0.25]]
classes = []
[[camera.rule]]
id = "r-fire-lane"
kind = "standing"
zone = "z-fire-lane"
min_s = 8
[[camera.rule]]
id = "r-lens"
kind = "camera_health"
learn_s = 6
min_s = 2
"""
_ON_LIFT = """
[[camera.zone]]
id = "z-lift"
polygon = [[0.02, 0.3], [0.98, 0.3], [0.98, 0.98], [0.02, 0.98]]
classes = []
[[camera.rule]]
id = "r-two-wheels"
kind = "two_wheeler"
zone = "z-lift"
cool_down_s = 10
[[camera.rule]]
id = "r-left"
kind = "object_left"
zone = "z-lift"
min_s = 4
[[camera.rule]]
id = "r-taken"
kind = "object_taken"
zone = "z-lift"
min_s = 4
"""


def rule_lines(camera: str) -> list[str]:
    """The zones, lines and rules of a camera, after its `[[camera]]` table."""
    return {EAST: _ON_EAST, NORTH: _ON_NORTH, LIFT: _ON_LIFT}[camera].strip().splitlines()
