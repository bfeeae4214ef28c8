"""Which role each RPC needs, and which RPCs only read."""

from __future__ import annotations

from dataclasses import dataclass

from mimic_server.domain.teams import Role


@dataclass(frozen=True, slots=True)
class Access:
    """What a call of an RPC needs."""

    role: Role
    reads: bool = False
    """True: it changes nothing and is soon over, so it is answered while the server drains."""


_READ = Access(Role.VIEWER, reads=True)
_FOLLOW = Access(Role.VIEWER)
_WRITE = Access(Role.MEMBER)
_ADMIN_READ = Access(Role.ADMIN, reads=True)
_ADMIN = Access(Role.ADMIN)

ACCESS: dict[str, dict[str, Access]] = {
    "mimic.v1.AgentService": {
        "CreateAgent": _WRITE,
        "GetAgent": _READ,
        "ListAgents": _READ,
        "UpdateAgent": _WRITE,
        "DeleteAgent": _WRITE,
        "AddConnection": _WRITE,
        "UpdateConnection": _WRITE,
        "RemoveConnection": _WRITE,
        "CheckConnection": _WRITE,
    },
    "mimic.v1.PersonaService": {
        "CreatePersona": _WRITE,
        "GetPersona": _READ,
        "ListPersonas": _READ,
        "UpdatePersona": _WRITE,
        "DeletePersona": _WRITE,
        # Stores nothing, but spends the team's model tokens.
        "GeneratePersonas": _WRITE,
    },
    "mimic.v1.EvaluationService": {
        "CreateEvaluation": _WRITE,
        "GetEvaluation": _READ,
        "ListEvaluations": _READ,
        "UpdateEvaluation": _WRITE,
        "DeleteEvaluation": _WRITE,
        "GenerateEvaluations": _WRITE,
        "TestEvaluation": _WRITE,
    },
    "mimic.v1.BootstrapService": {
        "StartBootstrap": _WRITE,
        "GetBootstrap": _READ,
        "ListBootstraps": _READ,
        "CancelBootstrap": _WRITE,
        "WatchBootstrap": _FOLLOW,
    },
    "mimic.v1.SessionService": {
        "CreateSession": _WRITE,
        "GetSession": _READ,
        "ListSessions": _READ,
        "CancelSession": _WRITE,
        "WatchSession": _FOLLOW,
        "ListMessages": _READ,
        "ListRawPayloads": _READ,
        "ListResults": _READ,
        "EvaluateSession": _WRITE,
        "SendMessage": _WRITE,
        "TakeOver": _WRITE,
        "HandBack": _WRITE,
    },
    "mimic.v1.RunService": {
        "CreateRun": _WRITE,
        "GetRun": _READ,
        "ListRuns": _READ,
        "CancelRun": _WRITE,
        "WatchRun": _FOLLOW,
        "GetReport": _READ,
    },
    "mimic.v1.AdapterAdminService": {
        "ListAdapters": _READ,
        "GetAdapter": _READ,
        "RestartAdapter": _ADMIN,
        "EnableAdapter": _ADMIN,
        "DisableAdapter": _ADMIN,
        # An adapter serves all teams, and its log names all their sessions.
        "WatchLogs": _ADMIN,
    },
    "mimic.v1.TeamService": {
        "CreateTeam": _ADMIN,
        "GetTeam": _READ,
        "ListTeams": _READ,
        "UpdateTeam": _ADMIN,
    },
    "mimic.v1.ApiKeyService": {
        "CreateApiKey": _ADMIN,
        "GetApiKey": _ADMIN_READ,
        "ListApiKeys": _ADMIN_READ,
        "UpdateApiKey": _ADMIN,
        "RevokeApiKey": _ADMIN,
    },
    "mimic.v1.ServerService": {
        "GetInfo": _READ,
        "GetEffectiveSettings": _ADMIN_READ,
    },
}
"""Every RPC of mimic.v1, by service and method. One that is not here cannot be served."""
