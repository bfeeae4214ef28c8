"""Tasks to ask."""

from mimic_server.domain.agents import AgentSpec
from mimic_server.domain.bootstraps import BootstrapOptions
from mimic_server.domain.messages import Choice, Sender
from mimic_server.domain.personas import PersonaSpec
from mimic_server.simulation.drafts import EvaluationDraftsTask, PersonaDraftTask
from mimic_server.simulation.tasks import Dialogue, Entry, PersonaTurnTask

ANN = PersonaSpec(
    name="Ann",
    background="Her order number is NW-10234. Her email is ann@example.com.",
    goals=("Find out where her order is", "Find out when it will arrive"),
    frustrations=("Having to repeat the order number",),
    sample_phrases=("Where is my order?",),
    stop_conditions=("The agent is rude twice",),
)
NORTHWIND = AgentSpec(
    name="Northwind support",
    description=(
        "Customer support of Northwind Outdoor. It looks up orders such as NW-10234, changes delivery "
        "addresses, tells the opening hours and speaks about refunds."
    ),
)


def dialogue(*said: str, persona: PersonaSpec = ANN, can_take_choices: bool = False) -> Dialogue:
    """A conversation in which the persona and the agent spoke in turn, the persona first."""
    talk = Dialogue(persona, "Northwind support", "Sells tents", "rest", can_take_choices=can_take_choices)
    for index, text in enumerate(said):
        sender = Sender.AGENT if index % 2 else Sender.PERSONA
        talk.append(Entry(sender, text, index // 2 + 1))
    return talk


def turn_task(*said: str, seed: int = 1) -> PersonaTurnTask:
    return PersonaTurnTask(dialogue(*said), len(said) // 2 + 1, 20, seed)


def offered(*choices: tuple[str, str], text: str = "Which one?", turn: int = 1) -> Entry:
    return Entry(Sender.AGENT, text, turn, tuple(Choice(*choice) for choice in choices), message_id="m1")


def persona_task(
    index: int = 0, *taken: str, seed: int = 1, agent: AgentSpec = NORTHWIND
) -> PersonaDraftTask:
    return PersonaDraftTask(agent, BootstrapOptions(personas=6, seed=seed), index, taken)


def evaluations_task(agent: AgentSpec = NORTHWIND, number: int = 8) -> EvaluationDraftsTask:
    return EvaluationDraftsTask(agent, BootstrapOptions(evaluations=number))
