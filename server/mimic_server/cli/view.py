"""What a run looks like while it is under way."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from google.protobuf.message import Message
from mimic.adapter.v1 import message_pb2
from mimic.v1 import evaluations_pb2, runs_pb2, sessions_pb2
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

SLOW_MS = 2000

_ENDED = {
    sessions_pb2.SESSION_STATE_COMPLETED,
    sessions_pb2.SESSION_STATE_FAILED,
    sessions_pb2.SESSION_STATE_CANCELLED,
}


class RunView:
    """Shows a run: one session's transcript as it is said, and one line for the progress of all.

    On a terminal the progress line stays at the bottom; elsewhere a line is printed when a session ends.
    What the person at the terminal `speaks` as the persona is not repeated.
    """

    def __init__(self, console: Console, *, follows: bool, speaks: bool = False) -> None:
        self._console = console
        self._speaks = speaks
        self._follows = follows
        self._names: dict[str, str] = {}
        self._states: dict[str, int] = {}
        self._turns: Counter[str] = Counter()
        self._followed = ""
        self._over = False
        self._attempt = 1
        self._waiting: list[sessions_pb2.Message] = []
        self._notes: dict[int, str] = {}
        self._sent: dict[int, message_pb2.WireTime] = {}
        self._seen: set[int] = set()
        self._total = 0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} sessions"),
            TextColumn("[dim]{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("", total=None, detail="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def follows(self) -> bool:
        return self._follows

    def status(self, text: str) -> None:
        self._progress.update(self._bar, description=escape(text), total=None)
        if not self._console.is_terminal:
            self._console.print(f"{escape(text)} ...", highlight=False)

    def run(self, run: runs_pb2.Run) -> None:
        self._total = run.sessions_total
        self._progress.update(
            self._bar, description="running", total=run.sessions_total, completed=run.sessions_ended
        )

    def session(self, session: sessions_pb2.Session) -> None:
        self._names[session.id] = session.persona.name
        before = self._states.get(session.id)
        self._states[session.id] = session.state
        self._turns[session.id] = session.turns
        ended = sum(state in _ENDED for state in self._states.values())
        running = len(self._states) - ended
        detail = f"{running} talking, {counted(sum(self._turns.values()), 'turn')}"
        self._progress.update(self._bar, completed=ended, detail=detail)
        if session.state in _ENDED and before not in _ENDED and not self._console.is_terminal:
            self._console.print(
                f"  {ended}/{self._total} {describe_end(session)}", highlight=False, markup=False
            )

    def followed(self, event: sessions_pb2.WatchSessionResponse) -> None:
        if self._over:
            return
        match event.WhichOneof("event"):
            case "session":
                self._follow(event.session)
            case "message" if self._followed:
                self._message(event.message)
            case "message":
                # Who speaks is not known yet.
                self._waiting.append(event.message)

    def _follow(self, session: sessions_pb2.Session) -> None:
        self._names[session.id] = session.persona.name
        for attempt in session.attempts:
            # Why there is another attempt stands with the one that broke.
            self._notes[attempt.number + 1] = attempt.note or attempt.fault.message
        if self._followed != session.id:
            if self._followed:
                self._sent.clear()
                self._seen.clear()
                self._attempt = 1
            self._followed = session.id
            persona = session.persona
            about = ", ".join(
                filter(None, (str(persona.age) if persona.age else "", persona.occupation, persona.location))
            )
            self._console.print()
            self._console.print(
                Text.assemble(
                    (persona.name, "bold cyan"),
                    (f"  {about}", "dim"),
                    (f"  played by {'you' if self._speaks else session.model}", "dim"),
                )
            )
            for goal in persona.goals:
                self._console.print(Text(f"  wants: {goal}", "dim"))
            waiting, self._waiting = self._waiting, []
            for message in waiting:
                self._message(message)
        if session.state in _ENDED:
            self._over = True
            self._console.print(Text(f"  {describe_end(session)}", "dim"), soft_wrap=True)
            self._console.print()

    def _message(self, message: sessions_pb2.Message) -> None:
        if message.HasField("sent"):
            self._sent[message.turn] = message.sent
        if message.seq in self._seen:
            return
        self._seen.add(message.seq)
        if message.attempt > self._attempt:
            self._attempt = message.attempt
            note = self._notes.get(message.attempt, "")
            self._console.print(Text(f"-- attempt {message.attempt}{f': {note}' if note else ''} --", "dim"))
        from_persona = message.sender == evaluations_pb2.SENDER_PERSONA
        if from_persona and self._speaks:
            return
        name = self._names.get(self._followed, "persona") if from_persona else "agent"
        said = Text(message.text)
        if not from_persona and (took := self._latency_ms(message)) is not None:
            said.append(f"  {took / 1000:.2f} s", "bold yellow" if took > SLOW_MS else "dim")
        head = Text.assemble(
            (f"{name[:14]:>14} ", "cyan" if from_persona else "green"),
            ("> " if from_persona else "< ", "dim"),
        )
        row = Table.grid()
        row.add_row(head, said)
        self._console.print(row)

    def _latency_ms(self, message: sessions_pb2.Message) -> float | None:
        sent = self._sent.pop(message.turn, None)
        if sent is None or sent.clock_id != message.first_byte.clock_id:
            return None
        return (message.first_byte.monotonic_nanos - sent.monotonic_nanos) / 1e6


def describe_end(session: sessions_pb2.Session) -> str:
    """How a session ended, in one line."""
    reason = word(session, "termination_reason").replace("_", " ")
    detail = f": {session.termination_detail}" if session.termination_detail else ""
    again = f" (attempt {len(session.attempts)})" if len(session.attempts) > 1 else ""
    fault = ""
    if session.HasField("fault"):
        fault = f" [{word(session.fault, 'source')} {session.fault.reason}]"
    turns = counted(session.turns, "turn")
    return f"{session.persona.name}: {reason or 'ended'}{detail}{fault} after {turns}{again}"


def counted(count: int, noun: str) -> str:
    """So many of something: `1 turn`, `2 turns`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def word(message: Message, field_name: str) -> str:
    """An enum field's value as people say it."""
    enum = message.DESCRIPTOR.fields_by_name[field_name].enum_type
    assert enum is not None  # noqa: S101 - the callers name enum fields
    number = getattr(message, field_name)
    value = enum.values_by_number.get(number)
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower() if value is not None and number else ""


def outcome_style(outcome: int) -> tuple[str, str]:
    """A run's outcome and its colour."""
    outcomes: dict[int, tuple[str, str]] = {
        runs_pb2.RUN_OUTCOME_PASSED: ("PASSED", "bold green"),
        runs_pb2.RUN_OUTCOME_FAILED: ("FAILED", "bold red"),
        runs_pb2.RUN_OUTCOME_INCONCLUSIVE: ("INCONCLUSIVE", "bold yellow"),
    }
    return outcomes.get(outcome, ("CANCELLED", "bold yellow"))
