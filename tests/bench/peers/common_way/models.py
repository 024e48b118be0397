"""The tables as classes of the ORM: the same facts as the fleet's own tables hold."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from sqlalchemy import DateTime, ForeignKey, Numeric, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

Sessions: TypeAlias = async_sessionmaker[AsyncSession]
Key = Annotated[str, mapped_column(primary_key=True)]
OrderKey = Annotated[str, mapped_column(ForeignKey("orders.id"), index=True)]
Money = Annotated[Decimal, mapped_column(Numeric(16, 2))]
Json = Annotated[Any, mapped_column(JSONB)]
Now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


class Base(DeclarativeBase):
    pass


class OrderRow(Base):
    __tablename__ = "orders"
    id: Mapped[Key]
    payment_id: Mapped[str] = mapped_column(index=True)
    amount: Mapped[Money]
    currency: Mapped[str]
    state: Mapped[str]
    address_json: Mapped[Json]
    items_json: Mapped[Json]
    created_at: Mapped[Now] = mapped_column(index=True)
    updated_at: Mapped[Now] = mapped_column(onupdate=func.now())


class PaymentRow(Base):
    __tablename__ = "payments"
    payment_id: Mapped[Key]
    order_id: Mapped[OrderKey]
    status: Mapped[str]
    amount: Mapped[Money]
    currency: Mapped[str]
    created_at: Mapped[Now]


class EventRow(Base):
    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("order_id", "type"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    type: Mapped[str]
    payload_json: Mapped[Json]
    ts: Mapped[Now]
    order: Mapped[OrderRow] = relationship()


class ChargeRow(Base):
    """A line of the payment gateway's own book."""

    __tablename__ = "charges"
    __table_args__ = {"schema": "gateway"}  # noqa: RUF012 (the ORM reads it from the class)
    key: Mapped[Key]
    order_id: Mapped[str] = mapped_column(index=True)
    amount: Mapped[Money]
    currency: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[Now]


class ShipmentRow(Base):
    """A line of the carrier's own book."""

    __tablename__ = "shipments"
    __table_args__ = {"schema": "gateway"}  # noqa: RUF012 (the ORM reads it from the class)
    key: Mapped[Key]
    order_id: Mapped[str] = mapped_column(index=True)
    address_json: Mapped[Json]
    status: Mapped[str]
    created_at: Mapped[Now]


def open_engine(url: str, size: int) -> tuple[AsyncEngine, Sessions]:
    """Return an engine with so many connections, and what makes its sessions."""
    url = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, pool_size=size, max_overflow=0)
    return engine, async_sessionmaker(engine, expire_on_commit=False)
