"""Follows boxes from frame to frame in the manner of ByteTrack (Zhang 2022, algorithm 1), on real time stamps.

Sound detections are matched first; weak ones (a person half hidden) may keep a track alive, never begin one. All
thresholds are in seconds, so that a lower frame rate or a lost frame changes nothing but accuracy. Follows what is
seen in one camera, and recognises nobody: a track that is lost is over, and its number is never used again.

Geometry is arrays over all tracks and detections at once; what is noted of each track is a few plain values.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import lap
import numpy as np
import numpy.typing as npt

from edge.video.kalman import BoxFilter

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
StepsOf = Callable[[Floats, Floats], tuple[Floats, Flags]]
"""How far what is in boxes [N,4] (fractions of the frame) has moved, given how far it should have [N,2]: steps [N,2],
and which of them are known [N]."""


@dataclass(frozen=True)
class TrackerConfig:
    """How tracks begin, go on and end.

    A track is confirmed at its `confirm_hits`-th detection, or at an earlier one of `sure_score` that comes
    `sure_after_s` after the first; or between looks, once the picture shows it `moved_by` of its height away from where
    the last look found it, for what is taken for a person by mistake mostly stands. It is given up at its
    `tentative_misses`-th miss before that. A confirmed one is over when it was not seen for `lost_after_s` though
    looked for `lost_after_misses` times. One that stayed within `still_radius` of its height for `still_after_s` (a
    parked car, someone who waits) is *still*: it lives on unseen for `still_lost_after_s`, and moves again only when it
    was elsewhere for `stirs_after_s`, for headlights that pass over a parked car shift its box for a moment.

    Overlaps, at least `overlap`, are those of boxes widened by `reach` of their size on each side, as at few frames a
    second a walker's boxes hardly touch; by `reach_tentative` while the track's speed is not yet known. These hold for
    looks `usual_s` apart or less; for each second more, up to `longest_s`, they grow by `reach_per_s` and
    `reach_tentative_per_s`.

    Between looks a track goes where the picture shows that it went. A step is not believed if its speed differs from
    the track's by more than `surprise` standard deviations and that of a walk, `turns_per_s` heights a second (it was
    the lamp post's that hides the walker), nor that of a box of which `hidden` is behind one that stands nearer. A
    confirmed track whose step was not known `lost_steps` times since the last look is out of sight until the next.

    While nothing moves in the picture, someone who paused is looked at again every `look_paused_s`, what is still every
    `look_still_s`, and every `look_doubtful_s` once it was missed.
    """

    weak_score: float = 0.25
    confirm_hits: int = 3
    sure_score: float = 0.6
    sure_after_s: float = 0.35
    moved_by: float = 0.1
    tentative_misses: int = 2
    lost_after_s: float = 2.5
    lost_after_misses: int = 4
    still_radius: float = 0.25
    still_after_s: float = 10.0
    still_lost_after_s: float = 20.0
    stirs_after_s: float = 2.0
    overlap: float = 0.25
    reach: float = 0.15
    reach_tentative: float = 0.4
    reach_per_s: float = 1.3
    reach_tentative_per_s: float = 1.5
    usual_s: float = 0.2
    longest_s: float = 0.6
    surprise: float = 2.0
    turns_per_s: float = 0.2
    hidden: float = 0.2
    lost_steps: int = 3
    look_paused_s: float = 2.0
    look_doubtful_s: float = 5.0
    look_still_s: float = 30.0


class Seen(NamedTuple):
    """What one frame told: the confirmed tracks found in it, and those that are over.

    `ids` [N] and `rows` [N] are parallel: track `ids[i]` is detection `rows[i]`. `confirmed` are those of `ids` that
    were confirmed by this frame; `ended` are confirmed tracks that will not be seen again. `unsure` are those found
    that are not confirmed yet, each with its detection's row.
    """

    ids: tuple[int, ...]
    rows: tuple[int, ...]
    confirmed: tuple[int, ...]
    ended: tuple[int, ...]
    unsure: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Following:
    """What is followed now: confirmed tracks' numbers, their boxes [N,4] (fractions of the frame) and who is still."""

    ids: tuple[int, ...]
    boxes: Floats
    still: tuple[bool, ...]


_STILLNESS_EVERY_S = 1.0

_FAVOUR = 0.3
"""What a sound detection of a confirmed track is worth above its overlap. Measured: ByteTrack's order, in which any
such pair comes before all others, keeps identities less well, and so does none."""


@dataclass(slots=True)
class _Track:
    """What is noted of one track; where it is stands in the filter's column of the same index. `began_at` is its first
    box: cx, cy, w, h in heights of the frame."""

    id: int
    kind: int
    began_s: float
    began_at: tuple[float, ...]
    seen_s: float
    anchor: tuple[float, float]
    anchored_s: float
    astray_s: float = inf
    hits: int = 1
    misses: int = 0
    missed_s: float = inf
    is_confirmed: bool = False
    is_still: bool = False
    lost_steps: int = 0


class Tracker:
    """Tracks of one camera, of every kind of object; different kinds never match. Not shared between threads.

    Args:
        aspect: the frame's width over its height, so that distances are the same both ways.
        config: its thresholds.
    """

    def __init__(self, aspect: float, config: TrackerConfig | None = None) -> None:
        self._config = config if config is not None else TrackerConfig()
        to_measured = np.array([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [-1, 0, 1, 0], [0, -1, 0, 1]])
        to_measured[::2] *= aspect
        self._aspect = aspect
        self._to_measured = to_measured
        self._to_frame = np.linalg.inv(to_measured)
        self._reach_out(0.0)
        self._filter = BoxFilter()
        self._tracks: list[_Track] = []
        self._kinds: Rows = np.zeros(0, np.intp)
        self._last_s: float | None = None
        self._looked_s: float | None = None
        self._looked_at: Floats = np.zeros((2, 0))
        self._judged_s = -inf
        self._next_id = 1

    @property
    def live(self) -> int:
        """How many confirmed tracks live."""
        return sum(track.is_confirmed for track in self._tracks)

    @property
    def moving(self) -> int:
        """How many confirmed tracks live that are not still."""
        return sum(track.is_confirmed and not track.is_still for track in self._tracks)

    @property
    def restless(self) -> bool:
        """Whether a track is worth another look soon: not yet confirmed, or moving and missed when last looked for."""
        return any(not track.is_confirmed or (track.misses and not track.is_still) for track in self._tracks)

    @property
    def look_every_s(self) -> float:
        """How often it is to be looked for while nothing moves in the picture; infinite if nobody is followed."""
        config, followed = self._config, [track for track in self._tracks if track.is_confirmed]
        if any(not track.is_still for track in followed):
            return config.look_paused_s
        if any(track.misses for track in followed):
            return config.look_doubtful_s
        return config.look_still_s if followed else inf

    @property
    def following(self) -> Following:
        """The confirmed tracks, wherever they are thought to be."""
        shown = [i for i, track in enumerate(self._tracks) if track.is_confirmed]
        tracks = [self._tracks[i] for i in shown]
        boxes = (self._to_frame @ self._filter.place[:, shown]).T
        return Following(tuple(track.id for track in tracks), boxes, tuple(track.is_still for track in tracks))

    @property
    def followed_s(self) -> float:
        """The time that its tracks were moved on to last; negative infinity before the first."""
        return -inf if self._last_s is None else self._last_s

    @property
    def in_sight(self) -> tuple[tuple[int, ...], Floats]:
        """Confirmed tracks that move, that the last look found and that were not lost from sight since: numbers, and
        boxes [N,4] in fractions of the frame."""
        shown = [i for i, track in enumerate(self._tracks) if self._is_in_sight(track)]
        return tuple(self._tracks[i].id for i in shown), (self._to_frame @ self._filter.place[:, shown]).T

    def beginnings(self, ids: Collection[int]) -> dict[int, Floats]:
        """The first boxes [4] of these tracks, in fractions of the frame: from before they were confirmed."""
        return {track.id: self._to_frame @ np.array(track.began_at) for track in self._tracks if track.id in ids}

    def follow(self, steps_of: StepsOf, at_s: float) -> None:
        """Move all tracks on to `at_s` (monotonic seconds, rising) by what the picture shows, without a look.

        Those that stand still or were missed are where they are thought to be.
        """
        elapsed_s = self._pass_time(at_s)
        asked = [i for i, track in enumerate(self._tracks) if not (track.is_still or track.misses)]
        stretch = np.array([[self._aspect], [1.0]])
        expected = self._filter.velocity[:, asked] * elapsed_s / stretch
        found, known = steps_of((self._to_frame @ self._filter.place[:, asked]).T, expected.T)
        steps, seen = np.zeros((2, len(self._tracks))), np.zeros(len(self._tracks), bool)
        if len(asked) and elapsed_s > 0.0:
            steps[:, asked] = found.T * stretch
            seen[asked] = known
            seen &= self._believed(steps, elapsed_s)
        self._filter.carry(steps, seen, elapsed_s)
        for track, is_seen in zip(self._tracks, seen.tolist(), strict=True):
            track.lost_steps += not is_seen

    def confirm_moved(self) -> tuple[int, ...]:
        """Confirm the tracks that the picture has shown to move since the look that found them. Their numbers."""
        place = self._filter.place
        has_moved = np.hypot(*(place[:2] - self._looked_at)) >= self._config.moved_by * place[3]
        confirmed = []
        for track, moved in zip(self._tracks, has_moved.tolist(), strict=True):
            if moved and not (track.is_confirmed or track.misses or track.lost_steps):
                track.is_confirmed = True
                confirmed.append(track.id)
        return tuple(confirmed)

    def update(self, boxes: Floats, scores: Floats, kinds: Rows, sound: Flags, at_s: float) -> Seen:
        """One frame's detections, taken at `at_s` (monotonic seconds, rising).

        Args:
            boxes: [N,4] x1, y1, x2, y2 in fractions of the frame.
            scores: [N], 0..1; below the configuration's `weak_score` they are left out.
            kinds: [N] whole numbers; only equal ones match.
            sound: [N] whether a detection is good enough to begin a track.
            at_s: when the frame was taken.
        """
        self._filter.predict(self._pass_time(at_s))
        self._reach_out(0.0 if self._looked_s is None else max(0.0, at_s - self._looked_s))
        self._looked_s = at_s
        found = self._from_boxes @ boxes.T
        row_of = self._match(found[4:], scores, kinds, sound)
        if row_of:
            self._correct(found[:4], scores, row_of)
        seen = self._note(row_of, scores, at_s)
        if len(row_of) < len(scores):
            taken = set(row_of.values())
            begin = [row for row, is_sound in enumerate(sound.tolist()) if is_sound and row not in taken]
            if begin:
                first = self._next_id
                self._begin(found[:4, begin], kinds[begin], at_s)
                seen = seen._replace(unsure=(*seen.unsure, *zip(range(first, self._next_id), begin, strict=True)))
        self._looked_at = self._filter.place[:2].copy()
        return seen

    def end(self) -> tuple[int, ...]:
        """Every track is over (the camera is away). The confirmed ones' numbers."""
        ended = tuple(track.id for track in self._tracks if track.is_confirmed)
        self._keep([])
        self._looked_at = np.zeros((2, 0))
        self._last_s = self._looked_s = None
        return ended

    def _pass_time(self, at_s: float) -> float:
        """How long it is since the tracks were last moved."""
        elapsed_s = 0.0 if self._last_s is None else max(0.0, at_s - self._last_s)
        self._last_s = at_s
        return elapsed_s

    def _is_in_sight(self, track: _Track) -> bool:
        if not track.is_confirmed or track.is_still or track.misses or self._last_s is None:
            return False
        config = self._config
        return track.lost_steps < config.lost_steps and self._last_s - track.seen_s < config.lost_after_s

    def _believed(self, steps: Floats, elapsed_s: float) -> Flags:
        """Which tracks' steps [2,N] may well be their own."""
        config, tracked = self._config, self._filter
        x, y, width, height = tracked.place
        across, down = steps / elapsed_s - tracked.velocity
        usual = config.surprise * height * np.sqrt(tracked.covariance[2] + config.turns_per_s**2)
        left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
        shared_x = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
        shared_y = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
        covers = (shared_x > 0.0) & (shared_x * shared_y > (config.hidden * width * height)[:, None])
        is_hidden = (covers & (bottom > bottom[:, None])).any(axis=1)  # who stands lower in the picture is nearer
        believed: Flags = (across * across + down * down < usual * usual) & ~is_hidden
        return believed

    def _reach_out(self, elapsed_s: float) -> None:
        """Widen boxes as is right so long after the last look: a walker's next box is the further off."""
        config = self._config
        more_s = max(0.0, min(elapsed_s, config.longest_s) - config.usual_s)
        known = _widening(config.reach + config.reach_per_s * more_s)
        unknown = _widening(config.reach_tentative + config.reach_tentative_per_s * more_s)
        self._widen = np.concatenate([known, unknown])
        self._from_boxes = np.concatenate([self._to_measured, self._widen @ self._to_measured])

    def _correct(self, measured: Floats, scores: Floats, row_of: dict[int, int]) -> None:
        rows = [row_of.get(i, -1) for i in range(len(self._tracks))]
        given = scores.tolist()
        trust = np.array([0.0 if row < 0 else given[row] for row in rows])
        self._filter.correct(measured[:, rows], trust)

    def _match(self, wide: Floats, scores: Floats, kinds: Rows, sound: Flags) -> dict[int, int]:
        """The detection of each track that has one, by the tracks' index.

        One assignment, in which sound detections of confirmed tracks count for more and weak ones are for confirmed
        tracks alone, so that ByteTrack's rounds are one.

        Args:
            wide: the detections' corners, widened for confirmed tracks [:4] and for tentative ones [4:], [8,M].
            scores: [M].
            kinds: [M].
            sound: [M].
        """
        if not self._tracks or not len(scores):
            return {}
        flags = [track.is_confirmed for track in self._tracks]
        confirmed = None if all(flags) else np.array(flags)
        shared, areas = self._shared(wide, confirmed)
        least = self._config.overlap
        allowed = shared * (1 + 1 / least) > areas
        allowed &= self._kinds[:, None] == kinds
        if np.count_nonzero(sound) < len(scores):
            allowed &= sound | (scores >= self._config.weak_score)
            if confirmed is not None:
                allowed &= sound | confirmed[:, None]
        tracks, rows = (index.tolist() for index in allowed.nonzero())
        if len(set(tracks)) == len(tracks) and len(set(rows)) == len(rows):
            return dict(zip(tracks, rows, strict=True))
        value = np.divide(shared, areas - shared, out=np.zeros_like(shared), where=allowed)
        value += _FAVOUR * (sound if confirmed is None else sound & confirmed[:, None])
        return _assign(value, allowed, least)

    def _shared(self, wide: Floats, confirmed: Flags | None) -> tuple[Floats, Floats]:
        """The area that each track has in common with each detection [N,M], and the sum of their areas; widened.

        `confirmed` [N] is None if all tracks are.
        """
        if confirmed is None:
            tracks, found = self._widen[:4] @ self._filter.place, wide[:4, None]
        else:
            tracks = self._widen @ self._filter.place
            tracks = np.where(confirmed, tracks[:4], tracks[4:])
            found = np.where(confirmed[:, None], wide[:4, None], wide[4:, None])
        corners = np.maximum(tracks[:, :, None], found)
        sides = corners[:2] + corners[2:]
        np.minimum(sides, 0.0, out=sides)
        track_sides, found_sides = tracks[:2] + tracks[2:], found[:2] + found[2:]
        areas = (track_sides[0] * track_sides[1])[:, None] + found_sides[0] * found_sides[1]
        return sides[0] * sides[1], areas

    def _note(self, row_of: dict[int, int], scores: Floats, at_s: float) -> Seen:
        """Write down what was found and what not; drop what is over."""
        ids, rows, new, lost, unsure = [], [], [], [], []
        for i, track in enumerate(self._tracks):
            row = row_of.get(i)
            if row is None:
                track.missed_s = track.missed_s if track.misses else at_s
                track.misses += 1
                if self._is_over(track, at_s):
                    lost.append(i)
                continue
            track.misses, track.seen_s, track.lost_steps = 0, at_s, 0
            track.hits += 1
            if not track.is_confirmed and self._is_sure(track, float(scores[row]), at_s):
                track.is_confirmed = True
                new.append(track.id)
            if track.is_confirmed:
                ids.append(track.id)
                rows.append(row)
            else:
                unsure.append((track.id, row))
        if at_s - self._judged_s >= _STILLNESS_EVERY_S:
            self._judged_s = at_s
            self._judge_stillness(at_s)
        ended = self._drop(lost) if lost else ()
        return Seen(tuple(ids), tuple(rows), tuple(new), ended, tuple(unsure))

    def _is_sure(self, track: _Track, score: float, at_s: float) -> bool:
        """Whether a track just found with that score is held for real."""
        config = self._config
        if track.hits >= config.confirm_hits:
            return True
        return score >= config.sure_score and at_s - track.began_s >= config.sure_after_s

    def _is_over(self, track: _Track, at_s: float) -> bool:
        config = self._config
        if not track.is_confirmed:
            return track.misses >= config.tentative_misses
        if track.misses < config.lost_after_misses:
            return False
        if track.is_still:  # it may not have been looked at for long before it was first missed
            return at_s - track.missed_s >= config.still_lost_after_s
        return at_s - track.seen_s >= config.lost_after_s

    def _judge_stillness(self, at_s: float) -> None:
        config = self._config
        for i, (x, y, _, height) in enumerate(self._filter.place.T.tolist()):
            track = self._tracks[i]
            reach = config.still_radius * height
            if abs(x - track.anchor[0]) <= reach and abs(y - track.anchor[1]) <= reach:
                track.astray_s = inf
            else:
                track.astray_s = min(track.astray_s, at_s)
                if not track.is_still or at_s - track.astray_s >= config.stirs_after_s:
                    track.anchor, track.anchored_s, track.astray_s = (x, y), at_s, inf
            track.is_still = track.is_confirmed and track.seen_s - track.anchored_s >= config.still_after_s
            if track.is_still:
                self._filter.velocity[:, i] = 0.0

    def _drop(self, lost: list[int]) -> tuple[int, ...]:
        ended = tuple(self._tracks[i].id for i in lost if self._tracks[i].is_confirmed)
        gone = set(lost)
        self._keep([i for i in range(len(self._tracks)) if i not in gone])
        return ended

    def _keep(self, columns: list[int]) -> None:
        self._filter.keep(columns)
        self._tracks = [self._tracks[i] for i in columns]
        self._kinds = self._kinds[columns]

    def _begin(self, measured: Floats, kinds: Rows, at_s: float) -> None:
        for place, kind in zip(measured.T.tolist(), kinds.tolist(), strict=True):
            self._tracks.append(_Track(self._next_id, kind, at_s, tuple(place), at_s, (place[0], place[1]), at_s))
            self._next_id += 1
        self._kinds = np.concatenate([self._kinds, kinds])
        self._filter.add(measured)


def _widening(reach: float) -> Floats:
    """The matrix that makes x1, y1, -x2, -y2 of a box widened by `reach` of its size out of cx, cy, w, h."""
    half = 0.5 + reach
    return np.array([[1, 0, -half, 0], [0, 1, 0, -half], [-1, 0, -half, 0], [0, -1, 0, -half]])


def _assign(value: Floats, allowed: Flags, least: float) -> dict[int, int]:
    """The allowed pairs that together are worth most, each at least `least`, column by row (Jonker-Volgenant)."""
    most = 1.0 + _FAVOUR
    cost = np.where(allowed, most - value, 2 * most)
    _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=most - least)
    return {row: column for row, column in enumerate(column_of.tolist()) if column >= 0}
