"""Finds the person that a row means: by the ID number, or without one by the name and a dwelling."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from cloud.database.tables import Person, Place, Residency
from cloud.register.errors import RegisterError
from cloud.register.people import PersonEntry
from cloud.register.sealed import id_number_indexes
from cloud.register.writer import RegisterWriter
from cloud.vault import Vault


@dataclass(frozen=True)
class PersonRef:
    """Who is meant. `dwelling` is the code of one where the person lives or lived."""

    name: str
    id_number: str | None = field(default=None, repr=False)
    dwelling: str | None = None

    def checked(self) -> "PersonRef":
        """The same with the ID number spelled as it is stored.

        Raises:
            RegisterError: for a bad ID number, or if there is neither it nor a dwelling.
        """
        if self.id_number is None and self.dwelling is None:
            raise RegisterError("id_number", "a name alone does not say who it is", "write the ID number or a dwelling")
        return PersonRef(self.name, PersonEntry(self.name, self.id_number).checked().id_number, self.dwelling)


class PersonFinder:
    """`load` whom some rows mean, then `need` each."""

    def __init__(self, writer: RegisterWriter, vault: Vault) -> None:
        self._writer = writer
        self._vault = vault
        self._by_number: dict[str, tuple[UUID, str]] = {}
        self._by_home: dict[tuple[str, str], set[UUID]] = {}

    def load(self, refs: Iterable[PersonRef]) -> None:
        """Ask for the persons of these checked rows, and forget those asked for before."""
        refs = list(refs)
        self._by_number.clear()
        self._by_home.clear()
        numbers = {index for ref in refs if (index := self._index(ref)) is not None}
        query = select(Person.id_number_index, Person.id, Person.name).where(Person.id_number_index.in_(numbers))
        for index, person, name in self._writer.connection.execute(query):
            self._by_number[str(index)] = (person, name)
        homes = {ref.dwelling for ref in refs if ref.id_number is None}
        lives = (
            select(Place.code, Person.name, Person.id)
            .join(Residency, Residency.dwelling_id == Place.id)
            .join(Person, Person.id == Residency.person_id)
            .where(Place.code.in_(homes))
        )
        for code, name, person in self._writer.connection.execute(lives):
            self._by_home.setdefault((code, name), set()).add(person)

    def need(self, ref: PersonRef) -> UUID:
        """The person.

        Raises:
            RegisterError: if nobody is found, several are, or the number is that of somebody of another name.
        """
        index = self._index(ref)
        if index is not None:
            found = self._by_number.get(index)
            if found is None:
                raise RegisterError("id_number", "nobody with this ID number is registered", "add the resident first")
            if found[1] != ref.name:
                raise RegisterError("name", "somebody of another name has this ID number", "correct one of the two")
            return found[0]
        there = self._by_home.get((ref.dwelling or "", ref.name), set())
        if len(there) == 1:
            return next(iter(there))
        if there:
            raise RegisterError("name", "several persons of this name live in this dwelling", "write the ID number")
        raise RegisterError("dwelling", "nobody of this name lives or lived there", "correct it, or add the resident")

    def _index(self, ref: PersonRef) -> str | None:
        return id_number_indexes(self._vault, ref.id_number)["id_number_index"]
