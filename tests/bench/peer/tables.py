"""The peer's one table, by SQLAlchemy's ORM."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Attendance(Base):
    """One visit of one person."""

    __tablename__ = "peer_attendance"

    id: Mapped[int] = mapped_column(primary_key=True)
    participant_sid: Mapped[str] = mapped_column(unique=True)
    room: Mapped[str] = mapped_column(index=True)
    identity: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    joined_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    left_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


def engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
