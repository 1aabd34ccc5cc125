"""The base of every table: names of constraints, and column types that mean the same on both databases."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Boolean, Date, MetaData, Uuid
from sqlalchemy.orm import DeclarativeBase

from cloud.database.types import Moment


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can change it on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's)
        datetime: Moment,
        UUID: Uuid,
        int: BigInteger,  # numbers of a stream run to 2**53
        bool: Boolean,
        date: Date,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }
