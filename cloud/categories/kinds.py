"""Which categories there are: four that come with Gatehouse, and those that a city configures."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud.categories.never import forbidden_word

KindCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
KindName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
MOST_KINDS = 50


class CategoryKind(BaseModel):
    """What a category is called, in English and Chinese."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: KindName
    name_zh: KindName


SHIPPED: Mapping[str, CategoryKind] = {
    "renter": CategoryKind(name="Renter", name_zh="租户"),
    "minimum_living_allowance": CategoryKind(name="Minimum living allowance", name_zh="最低生活保障"),
    "elderly_living_alone": CategoryKind(name="Elderly person living alone", name_zh="独居老人"),
    "key_personnel": CategoryKind(name="Key personnel", name_zh="重点人员"),
}


class CategoryKinds(BaseModel):
    """`[web.categories.more.CODE]` with `name` and `name_zh`, beside those that are shipped.

    One that names ethnicity, religion, a belief or a score is refused: the hub does not start with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    more: Annotated[dict[KindCode, CategoryKind], Field(max_length=MOST_KINDS)] = {}

    @model_validator(mode="after")
    def _may_be_kept(self) -> Self:
        for code, kind in self.more.items():
            if code in SHIPPED:
                raise ValueError(f"{code}: this category comes with Gatehouse; take another code")
            for text in (code, kind.name, kind.name_zh):
                if (word := forbidden_word(text)) is not None:
                    raise ValueError(
                        f"{code}: {text!r} says {word!r}: no category of ethnicity, religion or belief is kept, and no"
                        f" score (不得登记民族、宗教、信仰类别或评分); remove it"
                    )
        return self

    @property
    def known(self) -> dict[str, CategoryKind]:
        """Code -> names, of all."""
        return {**SHIPPED, **self.more}
