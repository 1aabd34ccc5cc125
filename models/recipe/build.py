"""All shipped weights from their source, each checked against the manifest, with the float models beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from models.errors import RecipeError
from models.manifest import DEFAULT, ECONOMY, Catalogue, ModelEntry
from models.recipe.nanodet import CLASSES, convert
from models.recipe.quantiser import quantise
from models.recipe.source import Source


@dataclass(frozen=True, slots=True)
class Product:
    """One set of weights: its manifest entry's name, and the sha256 of the float model on the way to it."""

    name: str
    float_sha256: str

    @property
    def float_name(self) -> str:
        """What the float model is called."""
        return self.name.removesuffix("-int8") + "-fp32"


PRODUCTS: Final = (
    Product(DEFAULT, "6d72594815fd8ca9000fdcdf2315afcb7408495e7b012c342f3e4be5a2341d1c"),
    Product(ECONOMY, "635bd0b946a9350f02c46188c3af6f360292a7bcfb39ad9c8d47d76d39ab76cd"),
)
FLOAT_MANIFEST: Final = "float.toml"


def build(source: Source, clip: Path, folder: Path, catalogue: Catalogue, progress: Callable[[str], None]) -> None:
    """Write every product and its float model into a folder, and ``float.toml``, a manifest of the float models.

    Raises:
        RecipeError: a result is not the one that it must be; every file that is right has been written by then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wrong = []
    entries = []
    for product in PRODUCTS:
        entry = catalogue.entry(product.name)
        progress(f"{product.float_name}: converting")
        float_model = convert(source, entry.input.width, entry.input.height)
        wrong += _keep(folder / f"{product.float_name}.onnx", float_model, product.float_sha256, progress)
        entries.append(_float_entry(product, entry, hashlib.sha256(float_model).hexdigest()))
        progress(f"{product.name}: quantising on frames of {clip.name}")
        with TemporaryDirectory(prefix="gatehouse-models-") as scratch:
            weights = quantise(float_model, clip, Path(scratch))
        wrong += _keep(folder / entry.weights.name, weights, entry.sha256, progress)
    (folder / FLOAT_MANIFEST).write_text("\n".join(entries), encoding="utf-8")
    if wrong:
        raise RecipeError(
            f"{', '.join(wrong)}: not the committed bytes; another CPU or another version of onnx, onnxruntime, numpy "
            "or OpenCV can move the last bit: requirements/lock.txt has the versions that give them"
        )


def _keep(path: Path, content: bytes, sha256: str, progress: Callable[[str], None]) -> list[str]:
    """Write a result and say whether it is the right one; returns its name when it is not."""
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    right = found == sha256
    verdict = "as it must be" if right else f"but must be {sha256}"
    progress(f"{path.name}: {len(content)} bytes, sha256 {found}, {verdict}")
    return [] if right else [path.name]


def _float_entry(product: Product, entry: ModelEntry, sha256: str) -> str:
    classes = ", ".join(f"{name} = {column}" for column, name in enumerate(CLASSES))
    size = f"width = {entry.input.width}, height = {entry.input.height}"
    limits = entry.thresholds
    kinds = f"person = {limits.person}, bicycle = {limits.bicycle}, vehicle = {limits.vehicle}"
    return f"""[model.{product.float_name}]
weights = "{product.float_name}.onnx"
sha256 = "{sha256}"
source = "{entry.provenance.source}"
version = "{entry.provenance.version}"
licence = "{entry.provenance.licence}"
changes = "as {entry.name}, before quantisation"
classes = {{ {classes} }}
input = {{ {size}, resize = "stretch", layout = "nhwc", dtype = "uint8", colour = "bgr" }}
output = {{ kind = "contract" }}
thresholds = {{ {kinds}, overlap = {limits.overlap} }}
"""
