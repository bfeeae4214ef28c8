"""What is asked of the one who plays a persona: its next turn, and whether it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from mimic_server.domain.messages import (
    Choice,
    ChoiceKind,
    ChoicesOffered,
    ChoiceTaken,
    Message,
    Sender,
    Stop,
    StopKind,
    plain_text,
)
from mimic_server.domain.personas import PersonaSpec
from mimic_server.domain.ports import ChatMessage
from mimic_server.simulation import prompts


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the conversation so far, as the persona sees it."""

    sender: Sender
    text: str
    """What a person reads in it, offered choices left out."""
    turn: int
    """As the message's: 0 where the agent spoke before the persona's first turn."""
    choices: tuple[Choice, ...] = ()
    """Choices that the agent offered in it."""
    edited: bool = False
    """True: it replaces what the agent said earlier."""
    deleted: bool = False
    """True: the agent took an earlier message back; `text` is empty."""
    message_id: str = ""
    """Id of the message; a taken choice names the one that offered it."""

    @classmethod
    def of(cls, message: Message) -> Entry:
        """A stored message as an entry."""
        choices: tuple[Choice, ...] = ()
        parts = message.parts
        if len(parts) > 1 or any(isinstance(part, ChoicesOffered) for part in parts):
            choices = tuple(c for p in parts if isinstance(p, ChoicesOffered) for c in p.choices)
            parts = tuple(part for part in parts if not isinstance(part, ChoicesOffered))
        return cls(
            message.sender,
            "" if message.deleted else plain_text(parts),
            message.turn,
            choices,
            bool(message.replaces) and not message.deleted,
            message.deleted,
            message.id,
        )


class Dialogue:
    """One attempt's conversation so far: who talks with whom, and what was said. It only grows.

    Each entry is rendered once, when it is appended, so that a turn's prompt costs the same at any length.

    Attributes:
        persona: Who is played.
        agent_name: The agent's name.
        agent_description: What the agent does. May be empty.
        channel: Where they talk, such as "whatsapp".
        can_send_pictures: Whether the channel takes pictures.
        can_take_choices: Whether the channel lets the persona take an offered choice.
    """

    __slots__ = (
        "__weakref__",
        "_entries",
        "_rendered",
        "agent_description",
        "agent_name",
        "can_send_pictures",
        "can_take_choices",
        "channel",
        "persona",
    )

    def __init__(
        self,
        persona: PersonaSpec,
        agent_name: str,
        agent_description: str = "",
        channel: str = "",
        *,
        can_send_pictures: bool = False,
        can_take_choices: bool = False,
    ) -> None:
        self.persona = persona
        self.agent_name = agent_name
        self.agent_description = agent_description
        self.channel = channel
        self.can_send_pictures = can_send_pictures
        self.can_take_choices = can_take_choices
        self._entries: list[Entry] = []
        self._rendered: list[ChatMessage] = []

    @property
    def entries(self) -> Sequence[Entry]:
        """All that was said, in order."""
        return self._entries

    @property
    def open_choices(self) -> tuple[Choice, ...]:
        """Choices that the agent offered since the persona last spoke. Links are not choices."""
        found: list[Choice] = []
        for entry in reversed(self._entries):
            if entry.sender is Sender.PERSONA:
                break
            found[:0] = [choice for choice in entry.choices if choice.choice_kind is not ChoiceKind.LINK]
        return tuple(found)

    def taken(self, choice_id: str) -> ChoiceTaken | None:
        """An open choice as it is taken. Returns None if none of this id is open."""
        for entry in reversed(self._entries):
            if entry.sender is Sender.PERSONA:
                break
            for choice in entry.choices:
                if choice.id == choice_id and choice.choice_kind is not ChoiceKind.LINK:
                    return ChoiceTaken(choice.id, entry.message_id, choice.title)
        return None

    @property
    def answered(self) -> bool:
        """False: the persona spoke last, so the agent was silent (or nobody spoke yet)."""
        return bool(self._entries) and self._entries[-1].sender is Sender.AGENT

    def append(self, entry: Entry) -> None:
        """Takes up what was said next."""
        if not self._rendered:
            self._rendered.append(ChatMessage("system", self._system()))
        role, text = "user", ""
        if entry.sender is Sender.PERSONA:
            role, text = "assistant", entry.text
            if self._entries and self._entries[-1].turn < entry.turn and not self.answered:
                self._rendered.append(ChatMessage("user", prompts.NO_ANSWER))
        else:
            text = prompts.agent_words(entry.text, entry.choices, edited=entry.edited, deleted=entry.deleted)
        last = self._rendered[-1]
        if last.role == role:
            self._rendered[-1] = replace(last, content=f"{last.content}\n{text}")
        else:
            self._rendered.append(ChatMessage(role, text))
        self._entries.append(entry)

    def prompt(self, note: str) -> Sequence[ChatMessage]:
        """The prompt of a turn: who the persona is, all that was said, and a note that is not kept."""
        if not self._rendered:
            self._rendered.append(ChatMessage("system", self._system()))
        last = self._rendered[-1]
        if last.role == "user":
            return [*self._rendered[:-1], ChatMessage("user", f"{last.content}\n\n{note}")]
        return [*self._rendered, ChatMessage("user", note)]

    def _system(self) -> str:
        return prompts.persona_system(
            self.persona,
            self.agent_name,
            self.agent_description,
            self.channel,
            can_send_pictures=self.can_send_pictures,
            can_take_choices=self.can_take_choices,
        )


Said = Annotated[str, StringConstraints(strip_whitespace=True, max_length=8000)]


class PersonaTurn(BaseModel):
    """What a persona says next, and whether it goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reasoning: str = ""
    """Why, for people who read the session later. First, so that a model thinks before it decides."""
    messages: Annotated[tuple[Said, ...], Field(max_length=4)]
    """What the persona writes, in order; none is a turn let pass. Said with a stop, it is still sent."""
    take_choice: str | None = None
    """Id of the offered choice that the persona takes. None: it takes none."""
    send_picture: bool = False
    """True: the persona sends a picture of what it speaks of, where the channel takes pictures."""
    decision: Literal["continue", "stop"] = "continue"
    stop_reason: Literal["goals_reached", "stop_condition"] | None = None
    stop_condition: str | None = None
    """Which of the persona's stop conditions is met, to the letter; or what the persona gives up on."""

    @field_validator("messages", mode="after")
    @classmethod
    def _drop_blank(cls, messages: tuple[str, ...]) -> tuple[str, ...]:
        return messages if all(messages) else tuple(message for message in messages if message)

    def stop(self, persona: PersonaSpec) -> Stop | None:
        """The decision to stop. Returns None if the persona goes on.

        A condition that is not one of the persona's, to the letter, is kept as it was said.
        """
        if self.decision == "continue":
            return None
        said = (self.stop_condition or "").strip()
        if self.stop_reason == "goals_reached" or (self.stop_reason is None and not said):
            return Stop(StopKind.GOALS_REACHED, "", self.reasoning)
        known = next((c for c in persona.stop_conditions if c.casefold() == said.casefold()), said)
        return Stop(StopKind.STOP_CONDITION, known or "not said which", self.reasoning)


@dataclass(frozen=True, slots=True)
class PersonaTurnTask:
    """Asks for a persona's next turn. Its prompt is the dialogue as it is when the prompt is asked for."""

    dialogue: Dialogue
    turn: int
    """The turn that is asked for: 1, 2, 3 ..."""
    max_turns: int
    """The last turn."""
    seed: int
    """The session's seed."""
    attempt: int = 1

    @property
    def persona(self) -> PersonaSpec:
        """Who is played."""
        return self.dialogue.persona

    @property
    def name(self) -> str:
        return "persona_turn"

    @property
    def answer_type(self) -> type[PersonaTurn]:
        return PersonaTurn

    def messages(self) -> Sequence[ChatMessage]:
        note = prompts.turn_note(
            self.turn,
            self.max_turns,
            started=bool(self.dialogue.entries),
            answered=self.dialogue.answered,
        )
        return self.dialogue.prompt(note)
