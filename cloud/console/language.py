"""The console's words, Chinese first. The page's script reads the same dictionary files."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

STATIC = Path(__file__).parent / "static"


class Language(StrEnum):
    """The file name of its dictionary and the page's `lang`."""

    CHINESE = "zh-CN"
    ENGLISH = "en"


class Theme(StrEnum):
    """`auto` follows the system."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True)
class Look:
    """How a browser wants its pages."""

    language: Language
    theme: Theme


def look_of(cookies: Mapping[str, str]) -> Look:
    """The look that a browser's cookies ask for; Chinese and the system's theme when they ask for nothing known."""
    languages, themes = {item.value: item for item in Language}, {item.value: item for item in Theme}
    return Look(
        languages.get(cookies.get("language", ""), Language.CHINESE), themes.get(cookies.get("theme", ""), Theme.AUTO)
    )


def load_words() -> Mapping[Language, Mapping[str, str]]:
    """Every dictionary."""
    return {language: json.loads((STATIC / f"{language}.json").read_text("utf-8")) for language in Language}


def speaker(words: Mapping[str, str]) -> Callable[..., str]:
    """A function from a key and its placeholders to the text; an unknown key is an error that tests find."""

    def speak(key: str, **values: str | int) -> str:
        return words[key].format(**values) if values else words[key]

    return speak
