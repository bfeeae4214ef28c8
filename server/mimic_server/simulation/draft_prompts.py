"""The words of the prompts for drafts of personas and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from mimic_server.domain.agents import AgentSpec

PERSONA = """\
You invent simulated customers who test a conversational agent by talking to it. Each is a person with a
reason to write, the facts at hand that the reason needs, and a way of typing. A good one is so concrete that
two actors would play the same person, and goes where agents fail: follow-ups on what was said before, two
things asked at once, an answer that does not fit.

- name, age, occupation, location, locale (BCP 47, the language of the agent's customers).
- background: what they know and have been through, with every fact that the agent may ask for, spelled out:
  order numbers, dates, addresses, e-mail, what they bought. Made up, but consistent.
- goals: 1 to 4, in order, each one thing that the conversation can settle. At least one follow-up that builds
  on an earlier answer.
- frustrations: what makes them lose patience.
- typing_style: description in words, and rates from 0 to 1 that fit the person (most people: typo_rate up to
  0.05, the other rates up to 0.2, often 0); words_per_minute from 15 to 80.
- sample_phrases: 2 to 5 things that they would write.
- stop_conditions: 1 to 3 things after which they would leave at once.
- simulation_tags: 1 to 4 labels in lower case, such as "refund" or "impatient".
"""

_ANGLES = (
    "someone with the most ordinary request, who follows it up",
    "someone in a hurry who writes little and expects much",
    "someone with a complaint who wants money back and does not give up easily",
    "someone who is unsure, asks for general information first, and needs things explained",
    "someone who wants something changed that is already under way",
    "someone who jumps between topics and comes back to the first",
    "someone who has been let down before and wants proof for every answer",
    "someone for whom the language of the conversation is not the first one",
)

EVALUATIONS = """\
You write automatic checks for a conversational agent. Each reads the transcript of one session between a
simulated customer and the agent, and finds one value, which thresholds turn into PASS, WARNING or FAIL.
Choose what matters to this agent's customers; vary the methods; each check looks at one thing.

Methods and the metrics that go with them. A field that a method does not name stays empty (aggregate: null).
- timestamp_diff -> latency_ms. How long the agent took in each turn. Optional regex: only turns in which the
  customer's words match. aggregate: max, mean, min, p50, p95.
- regex_match -> boolean (any message matches), count (matches), accuracy_percentage (share of messages that
  match). regex: RE2 syntax, no look-around or back-references; (?i) for any case. messages: agent, persona or
  both. aggregate null.
- sentiment_analysis -> sentiment_score, from -1 to 1, of the messages of `messages`, by a lexicon, or by a
  model where llm_prompt says what to look at. aggregate: min for the coldest message, mean.
- LLM_match -> boolean, accuracy_percentage (0 to 100), count, sentiment_score. llm_prompt: one clear question
  about the transcript, with what counts and what does not.
- custom_script -> any metric. script: Starlark (a small Python: no while, import, try, class, print or
  recursion) that defines `def evaluate(transcript):` and returns a number, a bool for boolean, None where the
  check does not apply, or {"value": ..., "explanation": "...", "evidence": [seqs]}. transcript is a list of
  dicts: seq, turn, sender ("PERSONA" or "AGENT"), text, first_byte_ms (the agent's, or None). Strings have
  lower(), find(), split(), strip(), startswith(), isdigit(); there are no regular expressions.

pass_criteria: pass, warning and fail, each a comparison with the value ("<= 2000", ">= 0.8", "== 0"; for
boolean "true" or "false"), or two joined by "and" ("> 2000 and <= 5000"), or empty. Give pass, and warning
where it makes sense; with fail empty everything else fails.
severity: LOW, MEDIUM, HIGH or CRITICAL: how bad a FAIL is for the customer.
notes: one sentence for people: what it checks and why.
"""


def agent(spec: AgentSpec, instructions: str) -> str:
    """What the agent is, and what its author wants."""
    lines = [f"The agent: {spec.name}"]
    if spec.platform:
        lines.append(f"Where people meet it: {spec.platform}")
    lines.append(spec.description.strip() or "Nothing more is known about it.")
    if instructions.strip():
        lines.append(f"What its author asks you to look at:\n{instructions.strip()}")
    return "\n".join(lines)


def which_persona(index: int, number: int, taken: Sequence[str]) -> str:
    """Which of the personas is asked for."""
    angle = _ANGLES[index % len(_ANGLES)]
    text = f"Invent customer {index + 1} of {number}: {angle}."
    return f"{text} Taken names: {', '.join(taken)}." if taken else text


def which_evaluations(number: int, taken: Sequence[str]) -> str:
    """How many evaluations are asked for."""
    text = f"Write about {number} checks, at least one."
    return f"{text} These exist already: {', '.join(taken)}." if taken else text
