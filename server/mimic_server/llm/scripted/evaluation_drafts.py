"""Evaluations for an agent, drafted from what its description speaks of."""

from __future__ import annotations

import itertools

from mimic_server.domain.evaluations import Aggregate, EvaluationSpec, Method, Metric, PassCriteria, Severity
from mimic_server.llm.scripted.topics import Topic, topics_of
from mimic_server.simulation.drafts import EvaluationDrafts, EvaluationDraftsTask

_KEEPS_NUMBERS = '''\
def has_number(text):
    """Whether a text has four digits in a row, as order numbers have."""
    run = 0
    for letter in text.elems():
        run = run + 1 if letter.isdigit() else 0
        if run == 4:
            return True
    return False

def evaluate(transcript):
    told = None
    for message in transcript:
        text = message["text"].lower()
        if message["sender"] == "PERSONA":
            if told == None and has_number(text):
                told = message["seq"]
        elif told != None and "number" in text and "?" in text:
            return {
                "value": False,
                "explanation": "The customer gave the number in message %d; message %d asks for it again."
                    % (told, message["seq"]),
                "evidence": [message["seq"], told],
            }
    if told == None:
        return {"value": None, "explanation": "The customer gave no number."}
    return {"value": True, "explanation": "The number of message %d was kept." % told, "evidence": [told]}
'''
_REPEATS_ITSELF = """\
def evaluate(transcript):
    seen = {}
    for message in transcript:
        if message["sender"] == "AGENT" and len(message["text"]) > 20:
            text = message["text"].lower().strip()
            if text in seen:
                return {
                    "value": False,
                    "explanation": "Message %d says word for word what message %d said."
                        % (message["seq"], seen[text]),
                    "evidence": [message["seq"], seen[text]],
                }
            seen[text] = message["seq"]
    if not seen:
        return None
    return {"value": True, "explanation": "No answer of %d was given twice." % len(seen)}
"""


def draft_evaluations(task: EvaluationDraftsTask) -> EvaluationDrafts:
    """An agent's evaluations, the most important first: the same for the same task."""
    text = f"{task.agent.name}. {task.agent.description} {task.options.instructions}"
    taken = {name.casefold() for name in task.drafted_names}
    drafts = _drafts(topics_of(text))
    fresh = [spec for spec in drafts if spec.name.casefold() not in taken]
    if not fresh:
        number = next(n for n in itertools.count(2) if f"{drafts[0].name} ({n})".casefold() not in taken)
        fresh = [spec.model_copy(update={"name": f"{spec.name} ({number})"}) for spec in drafts]
    return EvaluationDrafts(evaluations=tuple(fresh[: max(task.options.evaluations, 1)]))


def _drafts(topics: frozenset[Topic]) -> list[EvaluationSpec]:
    latency = EvaluationSpec(
        name="Answers within a second",
        metric=Metric.LATENCY_MS,
        method=Method.TIMESTAMP_DIFF,
        pass_criteria=PassCriteria.model_validate({"pass": "<= 1000", "warning": "> 1000 and <= 2000"}),
        severity=Severity.MEDIUM,
        notes="The longest wait of a turn, from the customer's last message to the agent's first byte.",
    )
    tone = EvaluationSpec(
        name="Stays civil",
        metric=Metric.SENTIMENT_SCORE,
        method=Method.SENTIMENT_ANALYSIS,
        pass_criteria=PassCriteria.model_validate({"pass": ">= -0.3", "warning": ">= -0.65 and < -0.3"}),
        severity=Severity.HIGH,
        aggregate=Aggregate.MIN,
        notes="The coldest message of the agent: an apology is fine, an insult is not.",
    )
    answers = EvaluationSpec(
        name="Answers what is asked",
        metric=Metric.ACCURACY_PERCENTAGE,
        method=Method.LLM_MATCH,
        pass_criteria=PassCriteria.model_validate({"pass": ">= 80", "warning": ">= 60 and < 80"}),
        severity=Severity.HIGH,
        llm_prompt=(
            "What share of the customer's requests did the agent answer properly? A question back that is "
            "needed counts as proper; a shrug, an insult, or a question for what was said already does not."
        ),
        notes="How much of what customers ask for they get.",
    )
    late = EvaluationSpec(
        name="Half of the answers within half a second",
        metric=Metric.LATENCY_MS,
        method=Method.TIMESTAMP_DIFF,
        pass_criteria=PassCriteria.model_validate({"pass": "<= 500", "fail": "> 500"}),
        severity=Severity.LOW,
        aggregate=Aggregate.P50,
        notes="The usual wait, as against the worst.",
    )
    understood = EvaluationSpec(
        name="Understands the customer",
        metric=Metric.COUNT,
        method=Method.REGEX_MATCH,
        pass_criteria=PassCriteria.model_validate({"pass": "== 0", "warning": "== 1", "fail": ">= 2"}),
        severity=Severity.MEDIUM,
        regex=r"(?i)(did not|didn't|do not|don't|not sure I) (get|catch|underst)|rephrase|another way",
        notes="How often the agent says that it did not understand.",
    )
    if Topic.ORDERS in topics or Topic.ADDRESS in topics:
        asks = EvaluationSpec(
            name="Asks for the order number once",
            metric=Metric.COUNT,
            method=Method.REGEX_MATCH,
            pass_criteria=PassCriteria.model_validate({"pass": "<= 1", "fail": ">= 2"}),
            severity=Severity.HIGH,
            regex=r"(?i)\border (number|no\b|id\b)[^.?!]*\?",
            notes="Once is fair; a second time shows that the agent forgot.",
        )
        keeps = EvaluationSpec(
            name="Keeps the number it was given",
            metric=Metric.BOOLEAN,
            method=Method.CUSTOM_SCRIPT,
            pass_criteria=PassCriteria.model_validate({"pass": "true", "fail": "false"}),
            severity=Severity.HIGH,
            script=_KEEPS_NUMBERS,
            notes="Nobody should have to give the same number twice.",
        )
    else:
        asks = understood
        keeps = EvaluationSpec(
            name="Does not repeat itself",
            metric=Metric.BOOLEAN,
            method=Method.CUSTOM_SCRIPT,
            pass_criteria=PassCriteria.model_validate({"pass": "true", "fail": "false"}),
            severity=Severity.LOW,
            script=_REPEATS_ITSELF,
            notes="The same words twice help nobody.",
        )
    polite = EvaluationSpec(
        name="Is polite throughout",
        metric=Metric.BOOLEAN,
        method=Method.LLM_MATCH,
        pass_criteria=PassCriteria.model_validate({"pass": "true", "fail": "false"}),
        severity=Severity.CRITICAL,
        llm_prompt="Is the agent polite in every message, whatever the customer says?",
        notes="One insult is one too many.",
    )
    drafts = [latency, asks, tone, answers, keeps, polite, late]
    return drafts if asks is understood else [*drafts, understood]
