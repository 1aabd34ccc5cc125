"""Follows boxes from frame to frame in the manner of ByteTrack (Zhang 2022, algorithm 1), on real time stamps.

Sound detections are matched first; weak ones (a person half hidden) may keep a track alive, never begin one. All
thresholds are in seconds, so that a lower frame rate or a lost frame changes nothing but accuracy. Follows what is
seen in one camera, and recognises nobody: a track that is lost is over, and its number is never used again.
"""

from dataclasses import dataclass, fields

import lap
import numpy as np
import numpy.typing as npt

from edge.video.kalman import BoxFilter

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TrackerConfig:
    """How tracks begin, go on and end.

    A track is confirmed at its `confirm_hits`-th detection. It is over when it was not seen for `lost_after_s` though
    looked for `lost_after_misses` times; one that stood within `still_radius` heights for `still_after_s` (a parked
    car, half hidden now and then) lives on for `still_lost_after_s`. Overlaps are those of boxes widened by `reach` of
    their size on each side, as at few frames a second a walker's boxes hardly touch; by `reach_tentative` while its
    speed is not yet known.
    """

    weak_score: float = 0.25
    confirm_hits: int = 3
    tentative_for_s: float = 0.8
    lost_after_s: float = 2.5
    lost_after_misses: int = 4
    still_radius: float = 0.25
    still_after_s: float = 10.0
    still_lost_after_s: float = 20.0
    reach: float = 0.1
    reach_tentative: float = 0.4
    overlap_sound: float = 0.25
    overlap_weak: float = 0.25
    overlap_tentative: float = 0.25


@dataclass(frozen=True)
class Seen:
    """What one frame told: the confirmed tracks found in it, and those that are over.

    `ids` [N] and `rows` [N] are parallel: track `ids[i]` is detection `rows[i]`. `confirmed` are those of `ids` that
    were confirmed by this frame; `ended` are confirmed tracks that will not be seen again.
    """

    ids: tuple[int, ...]
    rows: tuple[int, ...]
    confirmed: tuple[int, ...]
    ended: tuple[int, ...]


@dataclass
class _Tracks:
    """Parallel arrays [N], one row a track."""

    ids: Rows
    kinds: Rows
    hits: Rows
    misses: Rows
    seen_s: Floats
    anchor: Floats  # [N,2] where the track stood when it last moved
    anchored_s: Floats

    @classmethod
    def new(cls, ids: Rows, kinds: Rows, centres: Floats, at_s: float) -> "_Tracks":
        count = len(ids)
        now = np.full(count, at_s)
        return cls(
            ids, kinds.astype(np.intp), np.ones(count, np.intp), np.zeros(count, np.intp), now, centres, now.copy()
        )

    def keep(self, rows: Rows) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[rows])

    def add(self, other: "_Tracks") -> None:
        for field in fields(self):
            setattr(self, field.name, np.concatenate([getattr(self, field.name), getattr(other, field.name)]))


class Tracker:
    """Tracks of one camera, of every kind of object; different kinds never match. Not shared between threads.

    Args:
        aspect: the frame's width over its height, so that distances are the same both ways.
        config: its thresholds.
    """

    def __init__(self, aspect: float, config: TrackerConfig | None = None) -> None:
        self._aspect = aspect
        self._config = config if config is not None else TrackerConfig()
        self._filter = BoxFilter.start(np.zeros((0, 4)))
        none = np.zeros(0, np.intp)
        self._tracks = _Tracks.new(none, none, np.zeros((0, 2)), 0.0)
        self._last_s: float | None = None
        self._next_id = 1

    @property
    def live(self) -> int:
        """How many confirmed tracks live."""
        return int(self._confirmed().sum())

    @property
    def restless(self) -> bool:
        """Whether a track is not yet confirmed, or was missed when last looked for: worth another look soon."""
        return bool((~self._confirmed() | (self._tracks.misses > 0)).any())

    def update(self, boxes: Floats, scores: Floats, kinds: Rows, sound: npt.NDArray[np.bool_], at_s: float) -> Seen:
        """One frame's detections, taken at `at_s` (monotonic seconds, rising).

        Args:
            boxes: [N,4] x1, y1, x2, y2 in fractions of the frame.
            scores: [N], 0..1; below the configuration's `weak_score` they are left out.
            kinds: [N] whole numbers; only equal ones match.
            sound: [N] whether a detection is good enough to begin a track.
            at_s: when the frame was taken.
        """
        self._filter.predict(0.0 if self._last_s is None else max(0.0, at_s - self._last_s))
        self._last_s = at_s
        measured = self._measured(boxes)
        row_of = self._match(measured, scores, kinds, sound)
        was_confirmed = self._confirmed()
        self._correct(row_of, measured, scores, at_s)
        shown = np.flatnonzero((row_of >= 0) & self._confirmed())
        ids, new = self._tracks.ids[shown], ~was_confirmed[shown]
        ended = self._drop(at_s)
        begin = sound.copy()
        begin[row_of[row_of >= 0]] = False
        self._begin(np.flatnonzero(begin), measured, kinds, at_s)
        return Seen(_whole(ids), _whole(row_of[shown]), _whole(ids[new]), ended)

    def end(self) -> tuple[int, ...]:
        """Every track is over (the camera is away). The confirmed ones' numbers."""
        ended = _whole(self._tracks.ids[self._confirmed()])
        none = np.zeros(0, np.intp)
        self._filter.keep(none)
        self._tracks.keep(none)
        self._last_s = None
        return ended

    def _confirmed(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self._tracks.hits >= self._config.confirm_hits)

    def _measured(self, boxes: Floats) -> Floats:
        """Boxes as centre x, centre y, width, height in frame heights."""
        measured = np.empty((len(boxes), 4))
        measured[:, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
        measured[:, 2:] = boxes[:, 2:] - boxes[:, :2]
        measured[:, ::2] *= self._aspect
        return measured

    def _match(self, measured: Floats, scores: Floats, kinds: Rows, sound: npt.NDArray[np.bool_]) -> Rows:
        """The detection of each track, -1 for none: sound ones, then weak ones, then those of tentative tracks."""
        config, tracks = self._config, self._tracks
        row_of = np.full(len(tracks.ids), -1, np.intp)
        if not len(tracks.ids) or not len(scores):
            return row_of
        place, confirmed = self._filter.place, self._confirmed()
        weak = ~sound & (scores >= config.weak_score)
        free = np.ones(len(scores), bool)
        for which, usable, reach, least in (
            (confirmed, sound, config.reach, config.overlap_sound),
            (confirmed, weak, config.reach, config.overlap_weak),
            (~confirmed, sound, config.reach_tentative, config.overlap_tentative),
        ):
            rows, columns = np.flatnonzero(which & (row_of < 0)), np.flatnonzero(usable & free)
            if not len(rows) or not len(columns):
                continue
            overlap = _overlaps(place[rows], measured[columns], reach)
            overlap[tracks.kinds[rows, None] != kinds[columns]] = 0.0
            tracks_found, found = _assign(overlap, least)
            row_of[rows[tracks_found]] = columns[found]
            free[columns[found]] = False
        return row_of

    def _correct(self, row_of: Rows, measured: Floats, scores: Floats, at_s: float) -> None:
        tracks, found = self._tracks, np.flatnonzero(row_of >= 0)
        self._filter.correct(found, measured[row_of[found]], scores[row_of[found]])
        tracks.misses += 1
        tracks.misses[found] = 0
        tracks.hits[found] += 1
        tracks.seen_s[found] = at_s
        place = self._filter.place
        moved = (np.abs(place[:, :2] - tracks.anchor) > self._config.still_radius * place[:, 3:]).any(axis=1)
        tracks.anchor[moved] = place[moved, :2]
        tracks.anchored_s[moved] = at_s

    def _drop(self, at_s: float) -> tuple[int, ...]:
        config, tracks = self._config, self._tracks
        confirmed, unseen_s = self._confirmed(), at_s - tracks.seen_s
        still = tracks.seen_s - tracks.anchored_s >= config.still_after_s
        patience_s = np.where(still, config.still_lost_after_s, config.lost_after_s)
        lost = (unseen_s >= patience_s) & (tracks.misses >= config.lost_after_misses)
        lost = np.where(confirmed, lost, (unseen_s >= config.tentative_for_s) | (tracks.misses > 1))
        ended = _whole(tracks.ids[lost & confirmed])
        if lost.any():
            kept = np.flatnonzero(~lost)
            tracks.keep(kept)
            self._filter.keep(kept)
        return ended

    def _begin(self, rows: Rows, measured: Floats, kinds: Rows, at_s: float) -> None:
        if not len(rows):
            return
        ids = np.arange(self._next_id, self._next_id + len(rows))
        self._next_id += len(rows)
        self._tracks.add(_Tracks.new(ids, np.asarray(kinds)[rows], measured[rows, :2].copy(), at_s))
        self._filter.add(measured[rows])


def _whole(numbers: Rows) -> tuple[int, ...]:
    return tuple(int(number) for number in numbers)


def _overlaps(tracks: Floats, found: Floats, reach: float) -> Floats:
    """Intersection over union [N,M] of boxes (cx, cy, w, h), all widened by `reach` of their size on each side."""
    first, second = tracks[:, None], found[None]
    half_first, half_second = first[..., 2:] * (0.5 + reach), second[..., 2:] * (0.5 + reach)
    sides = np.minimum(first[..., :2] + half_first, second[..., :2] + half_second)
    sides -= np.maximum(first[..., :2] - half_first, second[..., :2] - half_second)
    np.maximum(sides, 0.0, out=sides)
    shared = sides[..., 0] * sides[..., 1]
    areas = 4 * (half_first[..., 0] * half_first[..., 1] + half_second[..., 0] * half_second[..., 1])
    return np.asarray(shared / np.maximum(areas - shared, 1e-12))


def _assign(overlap: Floats, least: float) -> tuple[Rows, Rows]:
    """Rows and columns of the pairs with the greatest sum of overlaps, each at least `least` (Jonker-Volgenant)."""
    if overlap.max() < least:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    _, column_of, _ = lap.lapjv(1.0 - overlap, extend_cost=True, cost_limit=1.0 - least)
    rows = np.flatnonzero(column_of >= 0)
    return rows, column_of[rows]
