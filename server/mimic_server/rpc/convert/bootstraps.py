"""Bootstraps."""

from __future__ import annotations

from mimic.v1 import bootstraps_pb2 as pb

from mimic_server.domain.bootstraps import Bootstrap, BootstrapOptions
from mimic_server.domain.errors import InvalidInputError, Violation
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert.enums import BOOTSTRAP_STEP, JOB_STATE
from mimic_server.rpc.convert.values import optional_timestamp, timestamp, usage


def read_options(proto: pb.BootstrapOptions, at: str) -> BootstrapOptions:
    """Raises InvalidInputError."""
    return BootstrapOptions.parse(requests.values(proto, at), at)


def read_draft_options(what: str, count: int, instructions: str, seed: int) -> BootstrapOptions:
    """What a request for drafts alone asks for, which is a part of a bootstrap.

    Args:
        what: The field that the request calls `count`.
        count: How many.
        instructions: What to look at.
        seed: Of what is drawn.

    Raises:
        InvalidInputError: Of `count`, `instructions` or `seed`.
    """
    try:
        return BootstrapOptions.parse({what: count, "instructions": instructions, "seed": seed})
    except InvalidInputError as error:
        violations = [
            Violation("count" if v.field == what else v.field, v.description) for v in error.violations
        ]
        raise InvalidInputError(violations) from None


def bootstrap(domain: Bootstrap) -> pb.Bootstrap:
    """A bootstrap."""
    options = domain.options
    return pb.Bootstrap(
        id=str(domain.id),
        agent_id=str(domain.agent_id),
        options=pb.BootstrapOptions(
            personas=options.personas,
            evaluations=options.evaluations,
            instructions=options.instructions,
            seed=options.seed,
        ),
        state=JOB_STATE.write(domain.state),
        step=BOOTSTRAP_STEP.write(domain.step),
        personas_done=domain.personas_done,
        evaluations_done=domain.evaluations_done,
        persona_ids=map(str, domain.persona_ids),
        evaluation_ids=map(str, domain.evaluation_ids),
        model=domain.model,
        usage=usage(domain.usage),
        error=domain.error,
        create_time=timestamp(domain.created_at),
        end_time=optional_timestamp(domain.ended_at),
    )
