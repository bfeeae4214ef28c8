"""Ports: what the inside needs of the outside. The edges implement them; `app.py` puts them together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from mimic_server.domain.adapters import (
    AdapterEvent,
    AdapterLogLine,
    AdapterStatus,
    CloseReason,
    Connected,
    ConnectionStatus,
    Manifest,
    Open,
    Opened,
    OutgoingMessage,
)
from mimic_server.domain.agents import Agent, Connection
from mimic_server.domain.bootstraps import Bootstrap
from mimic_server.domain.control import Control
from mimic_server.domain.evaluations import Evaluation, EvaluationResult
from mimic_server.domain.ids import BootstrapId, RunId, SessionId, TeamId
from mimic_server.domain.messages import Message, RawPayload, Usage
from mimic_server.domain.personas import Persona
from mimic_server.domain.runs import Run
from mimic_server.domain.sessions import Session
from mimic_server.domain.teams import ApiKey, Team

T = TypeVar("T")
A_co = TypeVar("A_co", bound=BaseModel, covariant=True)
A = TypeVar("A", bound=BaseModel)

# -- Language models --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt."""

    role: str
    """system, user or assistant."""
    content: str


class Task(Protocol[A_co]):
    """Something to ask of a language model, answered by one structured call.

    Concrete tasks are frozen dataclasses with typed fields: the scripted model reads those, not the prompt.
    """

    @property
    def name(self) -> str:
        """The answer's schema name, snake_case: letters, digits and underscores."""
        ...

    @property
    def answer_type(self) -> type[A_co]:
        """The pydantic model of the answer."""
        ...

    def messages(self) -> Sequence[ChatMessage]:
        """The prompt: a stable prefix first, what changes last, so that providers' prefix caches hit."""
        ...


@dataclass(frozen=True, slots=True)
class Answer(Generic[A]):
    """What a language model answered."""

    value: A
    usage: Usage


class LanguageModel(Protocol):
    """Answers tasks."""

    @property
    def name(self) -> str:
        """Shown wherever its words are: "scripted", or the model's name."""
        ...

    @property
    def scripted(self) -> bool:
        """True: no language model at all, but a deterministic script."""
        ...

    async def answer(self, task: Task[A]) -> Answer[A]:
        """Answers a task.

        Raises:
            FaultError: A SIMULATOR fault, reason MODEL_UNAVAILABLE, MODEL_TIMEOUT, MODEL_RATE_LIMITED,
                MODEL_REFUSED, MODEL_TRUNCATED, MODEL_OUT_OF_SCHEMA, MODEL_REJECTED_REQUEST or
                MODEL_BAD_CREDENTIALS.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...


# -- Adapters ---------------------------------------------------------------------------------------------


class Conversation(Protocol):
    """One session's conversation over an adapter."""

    @property
    def opened(self) -> Opened:
        """What the adapter answered to Open."""
        ...

    def send(self, messages: Sequence[OutgoingMessage]) -> None:
        """Hands the persona's messages of one turn to the adapter, in order. Returns at once.

        The host sends no text longer than the manifest allows and no message twice.
        """
        ...

    def typing(self) -> None:
        """Shows the agent that the persona types. Does nothing where the manifest does not declare it."""
        ...

    def read(self, message_id: str) -> None:
        """Marks the agent's messages as read. Does nothing where the manifest does not declare it."""
        ...

    def ack(self, seq: int) -> None:
        """Says that everything up to `seq` is stored. Cheap: told with the next frame or within 100 ms."""
        ...

    async def events(self) -> Sequence[AdapterEvent]:
        """Waits for events and returns all that are there, at least one, in order. Safe to cancel.

        Raises:
            ConversationLost: The stream broke or the adapter died. Reading again raises again.
            FaultError: The adapter ended the conversation with a status, or broke the contract
                (CONTRACT_VIOLATION); the fault says whose it is.
        """
        ...

    async def close(self, reason: CloseReason) -> None:
        """Ends the conversation, within 5 s. Never raises; a second call does nothing."""
        ...

    def abandon(self) -> None:
        """Lets go without Close, so that the session may be resumed. Returns at once."""
        ...


class ConversationLost(Exception):  # noqa: N818 - an event of the protocol, handled where it is raised
    """The way to the agent broke while a conversation was open; it may perhaps be resumed.

    Attributes:
        reason: One line for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Adapters(Protocol):
    """The plugin host: adapters by channel, and the connections and conversations over them."""

    async def manifest(self, channel: str) -> Manifest:
        """The manifest of a channel's adapter, which is started if need be.

        Raises:
            NotFoundError: No adapter serves the channel.
            FaultError: The adapter does not start; an ADAPTER fault.
        """
        ...

    async def connect(self, connection: Connection) -> Connected:
        """Brings a connection up; again with the same settings, it changes nothing. Kept up over restarts.

        Raises:
            InvalidInputError: The adapter refuses the settings; fields `settings.<name>`.
            NotFoundError: No adapter serves the channel.
            FaultError: The adapter does not start, or the platform refuses or cannot be reached.
        """
        ...

    async def check(self, connection: Connection) -> ConnectionStatus:
        """Probes a connection, bringing it up first if need be. Raises as `connect` does."""
        ...

    async def disconnect(self, channel: str, connection_id: UUID) -> None:
        """Takes a connection down. An unknown one is not an error."""
        ...

    async def open(self, connection: Connection, request: Open) -> Conversation:
        """Opens a conversation, bringing the connection up first if need be.

        Raises:
            ConversationLost: The adapter died before it answered, or is being restarted.
            FaultError: The adapter refuses, or will not start; the fault says whose it is.
        """
        ...

    async def media(self, channel: str, session_id: SessionId, media_id: str) -> bytes:
        """Reads a file that an agent sent, at most 64 MiB. Raises NotFoundError, FaultError."""
        ...

    def statuses(self) -> Sequence[AdapterStatus]:
        """Every adapter that is known, by channel."""
        ...

    async def restart(self, channel: str) -> AdapterStatus:
        """Ends and starts an adapter; its crash budget is whole again. Raises NotFoundError."""
        ...

    async def set_enabled(self, channel: str, *, enabled: bool) -> AdapterStatus:
        """Switches an adapter on or off. Raises NotFoundError."""
        ...

    def logs(self, channel: str, *, follow: bool, level: str = "trace") -> AsyncIterator[AdapterLogLine]:
        """The last lines (at most 1,000) of an adapter's log, then each new one. Raises NotFoundError."""
        ...


# -- Storage ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a listing."""

    size: int = 50
    """1 to 1,000."""
    token: str = ""
    """From the listing before. Empty: from the start."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A part of a listing, newest first unless said otherwise."""

    items: tuple[T, ...]
    next_token: str
    """Empty: nothing follows."""


class Repository(Protocol[T]):
    """The rows of one kind that belong to one team."""

    async def get(self, key: UUID) -> T:
        """The row of this id. Raises NotFoundError if it is absent or another team's."""
        ...

    async def by_request_id(self, request_id: str) -> T | None:
        """The row that this idempotency key made. Returns None if it is empty or made none."""
        ...

    async def add(self, entity: T) -> None:
        """Stores a new row. Raises AlreadyExistsError where its id or request id is taken."""
        ...

    async def save(self, entity: T, *, if_etag: int | None = None) -> None:
        """Replaces a row.

        Raises:
            NotFoundError: It is absent or another team's.
            ConflictError: Its stored etag is not `if_etag`.
        """
        ...

    async def remove(self, key: UUID) -> None:
        """Deletes a row and what belongs to it. Raises NotFoundError."""
        ...

    async def list(self, page: Page, *, oldest_first: bool = False, **equals: Any) -> Listing[T]:
        """Rows whose columns equal what is given (a sequence: any of it), newest first unless asked not to.

        Raises:
            InvalidInputError: `page_token` is not one of this listing's.
        """
        ...


class MessageReader(Protocol):
    """Messages of one team's sessions."""

    async def list(self, session_id: UUID, *, after_seq: int = 0, limit: int = 1000) -> Sequence[Message]:
        """Messages with a higher seq, of all attempts, in order of seq."""
        ...

    async def changed(self, session_id: UUID, *, after_rev: int, limit: int = 1000) -> Sequence[Message]:
        """Messages changed by later events, in order of rev."""
        ...

    async def raw(self, session_id: UUID, *, after: int = 0, limit: int = 1000) -> Sequence[RawPayload]:
        """Raw payloads in order, from an offset on."""
        ...


class ResultReader(Protocol):
    """Evaluation results of one team's sessions."""

    async def list(self, session_ids: Sequence[UUID]) -> Sequence[EvaluationResult]:
        """All results of these sessions, in order of session and rev."""
        ...


class UnitOfWork(Protocol):
    """One transaction in the name of one team: all of it is stored when its block ends, or none."""

    @property
    def agents(self) -> Repository[Agent]: ...
    @property
    def personas(self) -> Repository[Persona]: ...
    @property
    def evaluations(self) -> Repository[Evaluation]: ...
    @property
    def sessions(self) -> Repository[Session]: ...
    @property
    def messages(self) -> MessageReader: ...
    @property
    def results(self) -> ResultReader: ...
    @property
    def runs(self) -> Repository[Run]: ...
    @property
    def bootstraps(self) -> Repository[Bootstrap]: ...
    @property
    def api_keys(self) -> Repository[ApiKey]: ...

    async def first_answer_latencies(self, run_id: RunId) -> Sequence[float]:
        """Milliseconds from the persona's last SENT of a turn to the agent's first byte.

        Of each turn of the last attempt of each session of a run.
        """
        ...


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What is written together, or not at all. All of it belongs to one session."""

    appended: Sequence[Message] = ()
    """New messages."""
    updated: Sequence[Message] = ()
    """Messages whose receipt, wire times or rev changed."""
    session: Session | None = None
    """The session as it is now; already stored."""
    raw: Sequence[RawPayload] = ()
    results: Sequence[EvaluationResult] = ()
    """Replace the session's earlier results of the same evaluations."""


class Journal(Protocol):
    """The sessions' journal. Entries of concurrent sessions share transactions (group commit)."""

    async def write(self, entry: JournalEntry) -> None:
        """Stores an entry; it is on disk when this returns.

        Raises:
            NotFoundError: The session was removed.
            ConflictError: A message of the same seq is stored already, or one to update is not: another
                worker writes the session too.
            UnavailableError: The database cannot be written (full, gone); nothing of the entry is stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """Something unfinished that a worker may take up."""

    kind: str
    """`session`, `run` or `bootstrap`."""
    team_id: TeamId
    id: UUID


class Leases(Protocol):
    """Who works on what, across processes: a lease that is not renewed ends by itself."""

    async def acquire(self, work: Work, owner: str, ttl: timedelta) -> bool:
        """Takes a lease. Returns False if someone else holds it, or the work has ended."""
        ...

    async def renew(self, owner: str, ttl: timedelta) -> Sequence[Work]:
        """Renews all leases of an owner. Returns those that it still holds."""
        ...

    async def release(self, work: Work, owner: str) -> None:
        """Gives a lease back. One that is not held is not an error."""
        ...

    async def abandoned(self, *, limit: int = 1000) -> Sequence[Work]:
        """Unfinished runs, bootstraps and sessions without a run that nobody holds, oldest first."""
        ...


class Storage(Protocol):
    """The database."""

    def team(self, team_id: TeamId) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction in the name of a team. An exception inside the block undoes it.

        Raises:
            UnavailableError: The database cannot be reached.
        """
        ...

    @property
    def journal(self) -> Journal: ...
    @property
    def leases(self) -> Leases: ...

    async def add_team(self, team: Team) -> None:
        """Stores a new team. Raises AlreadyExistsError."""
        ...

    async def get_team(self, team_id: TeamId) -> Team:
        """Raises NotFoundError."""
        ...

    async def save_team(self, team: Team, *, if_etag: int | None = None) -> None:
        """Raises NotFoundError, ConflictError."""
        ...

    async def find_api_key(self, key_sha256: bytes) -> ApiKey | None:
        """The key of this hash, whosever it is. Returns None if there is none."""
        ...

    async def touch_api_key(self, key: ApiKey, at: datetime) -> None:
        """Remembers when a key was last used."""
        ...

    async def is_empty(self) -> bool:
        """True: there is no team yet."""
        ...

    async def schema_revision(self) -> str:
        """The Alembic revision that the database is at."""
        ...

    async def close(self) -> None:
        """Writes what is waiting and lets go of the database."""
        ...


# -- Orchestration ----------------------------------------------------------------------------------------


class Orchestrator(Protocol):
    """Sees to it that what takes long is done, whatever dies meanwhile. Starting twice starts once."""

    async def start_bootstrap(self, team_id: TeamId, bootstrap_id: BootstrapId) -> None: ...
    async def start_session(self, team_id: TeamId, session_id: SessionId) -> None: ...
    async def start_run(self, team_id: TeamId, run_id: RunId) -> None: ...

    async def cancel(self, work: Work) -> None:
        """Tells whoever does the work to stop soon; the request itself is already stored."""
        ...

    def control(self, session_id: SessionId) -> Control | None:
        """The reins of a session that is played in this process. Returns None if it is not."""
        ...
