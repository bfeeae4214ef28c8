"""Every RPC of mimic.v1, from the descriptors, and for each a request that is in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from mimic.v1 import (
    adapters_pb2,
    agents_pb2,
    bootstraps_pb2,
    evaluations_pb2,
    personas_pb2,
    runs_pb2,
    server_pb2,
    sessions_pb2,
    teams_pb2,
)

from tests.server.rpc.bench import Bench, local, no_apologies

FILES: tuple[Any, ...] = (
    adapters_pb2,
    agents_pb2,
    bootstraps_pb2,
    evaluations_pb2,
    personas_pb2,
    runs_pb2,
    server_pb2,
    sessions_pb2,
    teams_pb2,
)

PROTOS = Path(__file__).resolve().parents[3] / "proto" / "mimic" / "v1"

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""By their names on the wire."""


@dataclass(frozen=True)
class Ids:
    """One thing of each kind."""

    agent: str
    connection: str
    persona: str
    evaluation: str
    bootstrap: str
    session: str
    run: str
    team: str
    api_key: str

    @classmethod
    def absent(cls) -> Ids:
        """Ids of nothing."""
        return cls(**{field.name: str(uuid4()) for field in fields(cls)})

    @classmethod
    async def made(cls, bench: Bench) -> Ids:
        """Makes one thing of each kind; what takes long has ended."""
        api = bench.admin
        agent = await api.agent()
        persona, evaluation = await api.persona(agent.id), await api.evaluation(agent.id)
        session = await api.sessions.CreateSession(
            sessions_pb2.CreateSessionRequest(agent_id=agent.id, persona_id=persona.id)
        )
        bootstrap = await api.bootstraps.StartBootstrap(
            bootstraps_pb2.StartBootstrapRequest(agent_id=agent.id)
        )
        run = await api.runs.CreateRun(runs_pb2.CreateRunRequest(agent_id=agent.id, persona_ids=[persona.id]))
        key = await api.api_keys.CreateApiKey(
            teams_pb2.CreateApiKeyRequest(api_key=teams_pb2.ApiKey(name="key"))
        )
        ids = cls(
            agent.id,
            agent.connections[0].id,
            persona.id,
            evaluation.id,
            bootstrap.bootstrap.id,
            session.session.id,
            run.run.id,
            (await api.teams.ListTeams(teams_pb2.ListTeamsRequest())).teams[0].id,
            key.api_key.id,
        )
        for watch in (
            api.sessions.WatchSession(sessions_pb2.WatchSessionRequest(session_id=ids.session)),
            api.bootstraps.WatchBootstrap(bootstraps_pb2.WatchBootstrapRequest(bootstrap_id=ids.bootstrap)),
            api.runs.WatchRun(runs_pb2.WatchRunRequest(run_id=ids.run)),
        ):
            async for _ in watch:
                pass
        return ids


def in_order(ids: Ids) -> Mapping[str, Message]:
    """A request of each RPC that is in order, if its ids are."""
    agent, connection = ids.agent, ids.connection
    persona = personas_pb2.Persona(id=ids.persona, agent_id=agent, name="Ada", goals=["help"])
    persona.typing_style.typo_rate = 0.5
    evaluation = evaluations_pb2.Evaluation(id=ids.evaluation, agent_id=agent, **no_apologies())
    team = teams_pb2.Team(id=ids.team, name="Team")
    api_key = teams_pb2.ApiKey(id=ids.api_key, name="key")
    line = evaluations_pb2.GivenMessage(sender=evaluations_pb2.SENDER_AGENT, text="sorry", at_ms=1)
    settings = {"url": "u", "auth": {"user": "me", "list": [1, None, True]}}
    session, run, bootstrap = ids.session, ids.run, ids.bootstrap
    options = sessions_pb2.SessionOptions(max_turns=2)
    requests: list[Message] = [
        agents_pb2.CreateAgentRequest(
            agent=agents_pb2.Agent(name="Shop"),
            connections=[local(settings)],
            bootstrap=bootstraps_pb2.BootstrapOptions(personas=1, evaluations=1),
        ),
        agents_pb2.GetAgentRequest(agent_id=agent),
        agents_pb2.ListAgentsRequest(page_size=1),
        agents_pb2.UpdateAgentRequest(agent=agents_pb2.Agent(id=agent, name="Shop")),
        agents_pb2.DeleteAgentRequest(agent_id=agent),
        agents_pb2.AddConnectionRequest(agent_id=agent, connection=local(settings)),
        agents_pb2.UpdateConnectionRequest(agent_id=agent, connection=local(settings, id=connection)),
        agents_pb2.RemoveConnectionRequest(agent_id=agent, connection_id=connection),
        agents_pb2.CheckConnectionRequest(agent_id=agent, connection_id=connection),
        personas_pb2.CreatePersonaRequest(persona=persona),
        personas_pb2.GetPersonaRequest(persona_id=ids.persona),
        personas_pb2.ListPersonasRequest(agent_id=agent),
        personas_pb2.UpdatePersonaRequest(persona=persona),
        personas_pb2.DeletePersonaRequest(persona_id=ids.persona),
        personas_pb2.GeneratePersonasRequest(agent_id=agent, count=1),
        evaluations_pb2.CreateEvaluationRequest(evaluation=evaluation),
        evaluations_pb2.GetEvaluationRequest(evaluation_id=ids.evaluation),
        evaluations_pb2.ListEvaluationsRequest(agent_id=agent),
        evaluations_pb2.UpdateEvaluationRequest(evaluation=evaluation),
        evaluations_pb2.DeleteEvaluationRequest(evaluation_id=ids.evaluation),
        evaluations_pb2.GenerateEvaluationsRequest(agent_id=agent, count=1),
        evaluations_pb2.TestEvaluationRequest(
            evaluation_id=ids.evaluation, transcript=evaluations_pb2.GivenTranscript(messages=[line])
        ),
        bootstraps_pb2.StartBootstrapRequest(agent_id=agent),
        bootstraps_pb2.GetBootstrapRequest(bootstrap_id=bootstrap),
        bootstraps_pb2.ListBootstrapsRequest(agent_id=agent),
        bootstraps_pb2.CancelBootstrapRequest(bootstrap_id=bootstrap),
        bootstraps_pb2.WatchBootstrapRequest(bootstrap_id=bootstrap),
        sessions_pb2.CreateSessionRequest(
            agent_id=agent, persona_id=ids.persona, connection_id=connection, options=options
        ),
        sessions_pb2.GetSessionRequest(session_id=session),
        sessions_pb2.ListSessionsRequest(agent_id=agent, states=[sessions_pb2.SESSION_STATE_COMPLETED]),
        sessions_pb2.CancelSessionRequest(session_id=session),
        sessions_pb2.WatchSessionRequest(session_id=session),
        sessions_pb2.ListMessagesRequest(session_id=session),
        sessions_pb2.ListRawPayloadsRequest(session_id=session),
        sessions_pb2.ListResultsRequest(session_id=session),
        sessions_pb2.EvaluateSessionRequest(session_id=session, evaluation_ids=[ids.evaluation]),
        sessions_pb2.SendMessageRequest(session_id=session, text="hello"),
        sessions_pb2.TakeOverRequest(session_id=session),
        sessions_pb2.HandBackRequest(session_id=session),
        runs_pb2.CreateRunRequest(
            agent_id=agent,
            connection_id=connection,
            persona_ids=[ids.persona],
            evaluation_ids=[ids.evaluation],
            options=runs_pb2.RunOptions(repeats=1, session=options),
        ),
        runs_pb2.GetRunRequest(run_id=run),
        runs_pb2.ListRunsRequest(agent_id=agent),
        runs_pb2.CancelRunRequest(run_id=run),
        runs_pb2.WatchRunRequest(run_id=run),
        runs_pb2.GetReportRequest(run_id=run),
        adapters_pb2.ListAdaptersRequest(),
        adapters_pb2.GetAdapterRequest(channel="local"),
        adapters_pb2.RestartAdapterRequest(channel="local"),
        adapters_pb2.EnableAdapterRequest(channel="local"),
        adapters_pb2.DisableAdapterRequest(channel="local"),
        adapters_pb2.WatchLogsRequest(channel="local"),
        teams_pb2.CreateTeamRequest(team=team),
        teams_pb2.GetTeamRequest(team_id=ids.team),
        teams_pb2.ListTeamsRequest(),
        teams_pb2.UpdateTeamRequest(team=team),
        teams_pb2.CreateApiKeyRequest(api_key=api_key),
        teams_pb2.GetApiKeyRequest(api_key_id=ids.api_key),
        teams_pb2.ListApiKeysRequest(),
        teams_pb2.UpdateApiKeyRequest(api_key=api_key),
        teams_pb2.RevokeApiKeyRequest(api_key_id=ids.api_key),
        server_pb2.GetInfoRequest(),
        server_pb2.GetEffectiveSettingsRequest(),
    ]
    by_type = {request.DESCRIPTOR.full_name: request for request in requests}
    return {name: by_type[method.input_type.full_name] for name, method in METHODS.items()}


async def call(channel: grpc.aio.Channel, name: str, request: Message | bytes, **options: Any) -> list[Any]:
    """Calls an RPC by its name, and returns all that it answers."""
    method = METHODS[name]
    answer_type = GetMessageClass(method.output_type)
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    if method.server_streaming:
        stream: Any = channel.unary_stream(name, response_deserializer=answer_type.FromString)
        return [answer async for answer in stream(raw, **options)]
    unary: Any = channel.unary_unary(name, response_deserializer=answer_type.FromString)
    return [await unary(raw, **options)]


ALWAYS = frozenset(
    {
        "OK",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
    }
)
"""Statuses that the comment on AgentService documents for every RPC."""


def documented() -> dict[str, frozenset[str]]:
    """The statuses that the comment of each RPC names, by the RPC's name on the wire."""
    codes = re.compile("|".join(code.name for code in grpc.StatusCode))
    found = {}
    for file in FILES:
        text = (PROTOS / Path(file.DESCRIPTOR.name).name).read_text(encoding="utf-8")
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                comment = re.search(rf"((?:  //[^\n]*\n)+)  rpc {method.name}\(", text)
                assert comment is not None, method.name
                errors = comment.group(1).partition("Errors: ")[2].replace("ALREADY_EXISTS never", "")
                if "as AddConnection" in errors:
                    errors += " FAILED_PRECONDITION"
                found[f"/{service.full_name}/{method.name}"] = ALWAYS | set(codes.findall(errors))
    return found
