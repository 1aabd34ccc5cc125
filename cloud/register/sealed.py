"""What the register seals, and what it is found by: keyed hashes of the whole, and of the last four digits."""

from cloud.vault import Vault

ID_NUMBER = "person.id_number"
PHONE = "person.phone"
"""What the vault seals these fields for, and indexes them under."""

ID_TAIL = "person.id_tail"
PHONE_TAIL = "person.phone_tail"
"""What the vault indexes their last four characters under."""

NUMBER = "credential.number"
"""What the vault seals a card's number for, and indexes it under; so also a PIN, a plate and a pass's id."""

PIN = "credential.pin"
"""What the vault seals the PINs for that go with a card."""

CATEGORY = "service_category.category"
CATEGORY_BASIS = "service_category.basis"
"""What the vault seals a person's category for, and indexes it under, and its legal basis."""

CONTACT_NAME = "contact.name"
CONTACT_PHONE = "contact.phone"
"""What the vault seals who is called for a person for, and the number, whose digits are indexed as any phone's."""

PLATE = "vehicle.plate"
PLATE_TAIL = "vehicle.plate_tail"
"""What the vault seals a vehicle's plate for, and indexes it and its last four characters under."""

GUEST_NAME = "guest.name"
GUEST_PHONE = "guest.phone"
"""What the vault seals a guest's name for, and indexes it under, and the phone."""

HISTORY = "register_history.values"
"""What the vault seals an entry's values for, as they were and as they became."""

TAIL_LENGTH = 4
_MOBILE_DIGITS = 11
_CHINA = "86"


def phone_digits(text: str) -> str:
    """A phone number as it is compared: its digits, without China's country code before a mobile's 11."""
    digits = "".join(each for each in text if each.isascii() and each.isdigit())
    rest = digits.removeprefix("00").removeprefix(_CHINA)
    return rest if len(rest) == _MOBILE_DIGITS else digits


def phone_indexes(vault: Vault, phone: str | None) -> dict[str, str | None]:
    """The columns by which a phone number is found; text with less than four digits is not."""
    digits = phone_digits(phone or "")
    found = len(digits) >= TAIL_LENGTH
    return {
        "phone_index": vault.index(digits, PHONE) if found else None,
        "phone_tail_index": vault.index(digits[-TAIL_LENGTH:], PHONE_TAIL) if found else None,
    }


def plate_indexes(vault: Vault, plate: str) -> dict[str, str]:
    """The columns by which a plate, spelled as `protocols.plates` does, is found."""
    return {"plate_index": vault.index(plate, PLATE), "plate_tail_index": vault.index(plate[-TAIL_LENGTH:], PLATE_TAIL)}


def id_number_indexes(vault: Vault, id_number: str | None) -> dict[str, str | None]:
    """The columns by which an identity number, spelled as `protocols.resident_id` does, is found."""
    return {
        "id_number_index": None if id_number is None else vault.index(id_number, ID_NUMBER),
        "id_tail_index": None if id_number is None else vault.index(id_number[-TAIL_LENGTH:], ID_TAIL),
    }
