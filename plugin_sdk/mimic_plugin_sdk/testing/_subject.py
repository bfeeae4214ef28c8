"""What is tested: an adapter, the settings that make it work, and the agent behind it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

Settings = Mapping[str, Any]
Mode = Literal["live", "emulator"]


@dataclass(frozen=True)
class Received:
    """One message as the agent received it."""

    text: str
    """Its text, or all of its payload: the kit looks for its own words in it."""


class RunningAgent(Protocol):
    """An agent that runs."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What the agent told of itself when it started, such as its address."""
        ...

    def received(self) -> Sequence[Received] | None:
        """Everything that it received until now, in order; None where it does not tell."""
        ...

    def kill(self) -> None:
        """Ends it at once, as a crash would, and frees what it holds. A second call does nothing."""
        ...


class Agent(Protocol):
    """How to start the agent under test.

    The agent answers each text at once with one message that contains the text. The kit may start several,
    and kills one of them to see what the adapter makes of it.
    """

    @property
    def after_connect(self) -> bool:
        """Whether it needs what Connect answers, as agents of an emulator do."""
        ...

    def start(self, agent_settings: Mapping[str, str]) -> RunningAgent:
        """Starts it, and returns when it accepts messages.

        Args:
            agent_settings: What Connect told to set, by its usual environment variable, or by its name where
                there is none; empty unless `after_connect`.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The adapter under test and what it needs to work."""

    command: Sequence[str] = ()
    """Starts the adapter. Empty: it already serves at `address`, and the rules of launching are not run."""
    address: str = ""
    """gRPC target of an adapter that runs already, such as "127.0.0.1:50051"."""
    agent: Agent | None = None
    """The agent. None: `settings` reach one that answers as `Agent` says, and it cannot be killed."""
    settings: Settings | Callable[[RunningAgent], Settings] = field(default_factory=dict)
    """Connection settings that work, or what makes them from the running agent."""
    bad_settings: Settings | None = None
    """Settings that must be refused. None: only those are tried that the settings' schema shows as wrong."""
    talkative: str = ""
    """Text that makes the agent say "{n}" messages in a row. Empty: it knows none."""
    witness: Path | None = None
    """File of JSON lines, `{"text": ...}` for each message that the agent received. None: see `Agent`."""
    mode: Mode | None = None
    """Which mode to test. None: the first of the manifest's."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Further environment of the adapter, beside the few variables that every host passes."""
    answer_within: timedelta = timedelta(seconds=10)
    """How long the agent may take to answer before a rule takes it for silent."""
