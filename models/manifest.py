"""The manifest: which detectors there are, whence they come, and everything needed to run one.

An entry is all it takes to add another detector. Reads TOML, and never opens a weights file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.detections import KIND_OF_CLASS, Kind
from models.errors import ManifestError, UnknownModel
from models.fitting import InputSpec, read_input
from models.outputs import OutputDecoder, read_output
from models.tables import Table

DEFAULT: Final = "nanodet-g-416x256-int8"
ECONOMY: Final = "nanodet-g-320x192-int8"
SHIPPED: Final = Path(__file__).parent / "manifest.toml"

_MAX_COLUMN = 9999


@dataclass(frozen=True, slots=True)
class Provenance:
    """Whence the weights come and on what terms; ``notices`` are the licence files beside them."""

    source: str
    version: str
    licence: str
    changes: str
    notices: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Lowest score kept for each kind, and the overlap (IoU) above which the lower of two boxes goes."""

    person: float
    bicycle: float
    vehicle: float
    overlap: float

    def of(self, kind: Kind) -> float:
        """The threshold of one kind."""
        return {Kind.PERSON: self.person, Kind.BICYCLE: self.bicycle, Kind.VEHICLE: self.vehicle}[kind]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One detector. ``columns`` holds, per class name, its column in the network's scores."""

    name: str
    weights: Path
    sha256: str
    provenance: Provenance
    columns: tuple[tuple[str, int], ...]
    input: InputSpec
    output: OutputDecoder
    thresholds: Thresholds

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the manifest's order; ``Detections.classes`` counts in it."""
        return tuple(name for name, _ in self.columns)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that it can tell."""
        return frozenset(KIND_OF_CLASS[name] for name in self.classes)


def read_manifest(path: Path) -> tuple[ModelEntry, ...]:
    """The entries of one manifest file, in its order; paths within are relative to it.

    Raises:
        ManifestError: the file cannot be read, or an entry is wrong; says which key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: is not TOML: {error}") from error
    if set(document) != {"model"} or not isinstance(document["model"], dict) or not document["model"]:
        raise ManifestError(f"{path}: must hold tables named [model.NAME] and nothing beside them")
    models = Table(document["model"], f"{path}: model")
    return tuple(_read_entry(name, models.table(name), path.parent) for name in models.names())


def _read_entry(name: str, table: Table, folder: Path) -> ModelEntry:
    shape = read_input(table.table("input"))
    entry = ModelEntry(
        name=name,
        weights=folder / table.text("weights"),
        sha256=table.sha256("sha256"),
        provenance=Provenance(
            source=table.text("source"),
            version=table.text("version"),
            licence=table.text("licence"),
            changes=table.text("changes"),
            notices=tuple(folder / notice for notice in table.texts("notices")) if table.has("notices") else (),
        ),
        columns=_read_columns(table.table("classes")),
        input=shape,
        output=read_output(table.table("output"), shape),
        thresholds=_read_thresholds(table.table("thresholds")),
    )
    table.close()
    return entry


def _read_columns(table: Table) -> tuple[tuple[str, int], ...]:
    names = table.names()
    for name in names:
        if name not in KIND_OF_CLASS:
            raise table.fault(name, f"is not a class used here; use {', '.join(KIND_OF_CLASS)}, and leave others out")
    columns = tuple((name, table.integer(name, 0, _MAX_COLUMN)) for name in names)
    if not columns or len({column for _, column in columns}) != len(columns):
        raise table.fault("columns", "name at least one class, and give each a column of its own")
    return columns


def _read_thresholds(table: Table) -> Thresholds:
    thresholds = Thresholds(
        person=table.number("person", 0, 1),
        bicycle=table.number("bicycle", 0, 1),
        vehicle=table.number("vehicle", 0, 1),
        overlap=table.number("overlap", 0, 1),
    )
    table.close()
    return thresholds


class Catalogue:
    """The shipped entries, and a user's own when a second manifest is given."""

    def __init__(self, entries: tuple[ModelEntry, ...]) -> None:
        names = [entry.name for entry in entries]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ManifestError(f"model {twice} is in two manifests; rename your own")
        self.entries = entries

    @classmethod
    def open(cls, manifest: Path | None = None) -> Catalogue:
        """The shipped manifest, with ``manifest``'s entries after it.

        Raises:
            ManifestError: one of the two is wrong, or both hold the same name.
        """
        own = read_manifest(manifest) if manifest is not None else ()
        return cls(read_manifest(SHIPPED) + own)

    def entry(self, name: str) -> ModelEntry:
        """The entry of that name.

        Raises:
            UnknownModel: there is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        known = ", ".join(entry.name for entry in self.entries)
        raise UnknownModel(f"there is no model {name}; known are {known}; add your own with a manifest file")
