"""The peer: Docket's task operations in FastAPI as commonly written, nothing slowed on purpose and nothing tuned."""

import base64
import binascii
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import jwt
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, Index, String, Text, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SECRET = os.environ["SECRET"]
engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=16, max_overflow=0)
Session = async_sessionmaker(engine, expire_on_commit=False)


def now() -> datetime:
    return datetime.now(UTC)


class Status(StrEnum):
    pending = "pending"
    in_progress = "in_progress"
    completed = "completed"
    cancelled = "cancelled"


class Priority(StrEnum):
    low = "low"
    medium = "medium"
    high = "high"
    urgent = "urgent"


class Model(DeclarativeBase):
    pass


class User(Model):
    __tablename__ = "peer_users"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    username: Mapped[str | None] = mapped_column(Text)
    full_name: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)


class Task(Model):
    __tablename__ = "peer_tasks"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("peer_users.id"))
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    priority: Mapped[str] = mapped_column(Text)
    due_date: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    due_on: Mapped[date | None]
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)
    author: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    __table_args__ = (Index("peer_tasks_user_created", "user_id", text("created_at DESC"), text("id DESC")),)

    @property
    def organization_id(self) -> uuid.UUID:
        """The owner's personal organization, the only kind this application knows."""
        return self.user_id

    @property
    def completed(self) -> bool:
        return self.status == Status.completed


class TaskCreate(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(None, max_length=2000)
    status: Status = Status.pending
    priority: Priority = Priority.medium
    due_date: AwareDatetime | None = None
    due_on: date | None = None


class TaskPatch(BaseModel):
    title: str | None = Field(None, min_length=1, max_length=200)
    description: str | None = Field(None, max_length=2000)
    status: Status | None = None
    priority: Priority | None = None
    due_date: AwareDatetime | None = None
    due_on: date | None = None


class Author(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    username: str | None
    full_name: str | None


class TaskOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    organization_id: uuid.UUID
    user_id: uuid.UUID
    author: Author
    title: str
    description: str | None
    status: Status
    priority: Priority
    due_date: datetime | None
    due_on: date | None
    completed: bool
    completed_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class TaskPage(BaseModel):
    items: list[TaskOut]
    next_cursor: str | None
    has_more: bool
    total_count: int | None = None


async def get_session() -> AsyncIterator[AsyncSession]:
    async with Session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]
Credentials = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


async def get_current_user(session: SessionDep, credentials: Credentials) -> User:
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Invalid token") from None
    user = await session.get(User, uuid.UUID(claims["sub"]))
    if user is None or not user.is_active:
        raise HTTPException(401, "User not found")
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
router = APIRouter(prefix="/api/v1/tasks", tags=["tasks"])


def cursor_after(task: Task) -> str:
    return base64.urlsafe_b64encode(f"{task.created_at.isoformat()} {task.id}".encode()).decode()


def position_of(cursor: str) -> tuple[datetime, uuid.UUID]:
    try:
        created_at, task_id = base64.urlsafe_b64decode(cursor).decode().split(" ")
        return datetime.fromisoformat(created_at), uuid.UUID(task_id)
    except (ValueError, binascii.Error):
        raise HTTPException(400, "Invalid cursor") from None


@router.get("", response_model=TaskPage)
async def list_tasks(
    session: SessionDep, user: CurrentUser, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: str | None = None
) -> Any:
    statement = select(Task).where(Task.user_id == user.id).order_by(Task.created_at.desc(), Task.id.desc())
    if cursor is not None:
        statement = statement.where(tuple_(Task.created_at, Task.id) < position_of(cursor))
    tasks = (await session.execute(statement.limit(limit + 1))).scalars().all()
    has_more = len(tasks) > limit
    items = tasks[:limit]
    return {"items": items, "next_cursor": cursor_after(items[-1]) if has_more else None, "has_more": has_more}


async def owned(session: AsyncSession, task_id: uuid.UUID, user: User) -> Task:
    statement = select(Task).where(Task.id == task_id, Task.user_id == user.id)
    task = (await session.execute(statement)).scalar_one_or_none()
    if task is None:
        raise HTTPException(404, "Task not found")
    return task


def change(task: Task, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(task, name, value)
    if "status" in values:
        task.completed_at = now() if task.completed else None


@router.get("/{task_id}", response_model=TaskOut)
async def get_task(task_id: uuid.UUID, session: SessionDep, user: CurrentUser) -> Any:
    return await owned(session, task_id, user)


@router.post("", response_model=TaskOut, status_code=201)
async def create_task(body: TaskCreate, session: SessionDep, user: CurrentUser) -> Any:
    task = Task(user_id=user.id)
    change(task, body.model_dump())
    session.add(task)
    await session.commit()
    await session.refresh(task)
    return task


@router.patch("/{task_id}", response_model=TaskOut)
async def update_task(task_id: uuid.UUID, body: TaskPatch, session: SessionDep, user: CurrentUser) -> Any:
    task = await owned(session, task_id, user)
    change(task, body.model_dump(exclude_unset=True))
    task.version += 1
    await session.commit()
    await session.refresh(task)
    return task


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Model.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.include_router(router)
