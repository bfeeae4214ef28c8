"""The user simulator: plays a persona, one structured model call a turn."""

from __future__ import annotations

from dataclasses import dataclass

from mimic_server.domain.adapters import Capabilities
from mimic_server.domain.messages import NO_USAGE, Message, Stop, Usage
from mimic_server.domain.ports import LanguageModel
from mimic_server.domain.sessions import Session
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurnTask
from mimic_server.simulation.typing_style import PlannedMessage, lets_turn_pass, plan


@dataclass(frozen=True, slots=True)
class SimulatedTurn:
    """What the persona does next."""

    messages: tuple[PlannedMessage, ...]
    """In order; none is a turn let pass."""
    stop: Stop | None
    """None: it goes on."""
    usage: Usage


class UserSimulator:
    """Plays one persona through one attempt of a session."""

    def __init__(
        self,
        session: Session,
        agent_name: str,
        agent_description: str,
        capabilities: Capabilities,
        model: LanguageModel,
    ) -> None:
        self._session = session
        self._model = model
        self._capabilities = capabilities
        self._dialogue = Dialogue(
            session.persona,
            agent_name,
            agent_description,
            session.channel,
            can_send_pictures="IMAGE" in capabilities.media,
            can_take_choices=bool(capabilities.choices),
        )

    def hear(self, message: Message) -> None:
        """Takes up what was said, by either side, in order."""
        self._dialogue.append(Entry.of(message))

    async def next_turn(self, turn: int, attempt: int) -> SimulatedTurn:
        """Asks the model for the persona's next turn and lays it out in the persona's typing style.

        Raises:
            FaultError: A SIMULATOR fault.
        """
        options = self._session.options
        if lets_turn_pass(self._dialogue, seed=self._session.seed, attempt=attempt, turn=turn):
            return SimulatedTurn((), None, NO_USAGE)
        task = PersonaTurnTask(self._dialogue, turn, options.max_turns, self._session.seed, attempt)
        answer = await self._model.answer(task)
        messages = plan(
            answer.value,
            self._dialogue,
            seed=self._session.seed,
            attempt=attempt,
            turn=turn,
            pace=options.pace,
            capabilities=self._capabilities,
        )
        return SimulatedTurn(tuple(messages), answer.value.stop(self._session.persona), answer.usage)
