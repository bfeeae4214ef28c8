"""SessionService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from mimic.v1 import sessions_pb2 as pb
from mimic.v1.sessions_pb2_grpc import SessionServiceServicer

from mimic_server.domain.evaluations import EvaluationResult
from mimic_server.domain.ids import AgentId, ConnectionId, PersonaId, SessionId
from mimic_server.domain.messages import Message
from mimic_server.domain.sessions import Session
from mimic_server.rpc.calls import Context, caller, closing
from mimic_server.rpc.convert import evaluations as convert_evaluations
from mimic_server.rpc.convert import offsets, requests
from mimic_server.rpc.convert import sessions as convert
from mimic_server.rpc.convert.enums import SESSION_STATE
from mimic_server.rpc.convert.offsets import fitting
from mimic_server.services.sessions import SessionService

_MESSAGES_A_PAGE = 200


class SessionServicer(SessionServiceServicer):
    """Conversations of personas with agents."""

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: Context
    ) -> pb.CreateSessionResponse:
        connection_id = requests.optional_uuid(request.connection_id, "connection_id")
        session = await self._sessions.create(
            caller(),
            agent_id=AgentId(requests.uuid(request.agent_id, "agent_id")),
            persona_id=PersonaId(requests.uuid(request.persona_id, "persona_id")),
            connection_id=ConnectionId(connection_id) if connection_id else None,
            options=convert.read_options(request.options, "options"),
            human_control=request.human_control,
            request_id=requests.request_id(request.request_id),
        )
        return pb.CreateSessionResponse(session=convert.session(session))

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> pb.GetSessionResponse:
        session = await self._sessions.get(caller(), _session_id(request.session_id))
        return pb.GetSessionResponse(session=convert.session(session))

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        filters: dict[str, Any] = {
            "agent_id": requests.optional_uuid(request.agent_id, "agent_id"),
            "run_id": requests.optional_uuid(request.run_id, "run_id"),
            "persona_id": requests.optional_uuid(request.persona_id, "persona_id"),
            "state": requests.enums(SESSION_STATE, request.states, "states"),
        }
        page = requests.page(request.page_size, request.page_token)
        given = {name: value for name, value in filters.items() if value}
        listing = await self._sessions.list(caller(), page, **given)
        return pb.ListSessionsResponse(
            sessions=map(convert.session, listing.items), next_page_token=listing.next_token
        )

    async def CancelSession(
        self, request: pb.CancelSessionRequest, context: Context
    ) -> pb.CancelSessionResponse:
        session = await self._sessions.cancel(caller(), _session_id(request.session_id))
        return pb.CancelSessionResponse(session=convert.session(session))

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        session_id = _session_id(request.session_id)
        after = requests.position(request.after_seq, "after_seq")
        async with closing(self._sessions.watch(caller(), session_id, after)) as events:
            async for seq, item in events:
                yield _event(seq, item)

    async def ListMessages(
        self, request: pb.ListMessagesRequest, context: Context
    ) -> pb.ListMessagesResponse:
        session_id = _session_id(request.session_id)
        size = requests.page(request.page_size, "", _MESSAGES_A_PAGE).size
        after = offsets.decode("messages", session_id, request.page_token)
        found = await self._sessions.messages(caller(), session_id, after_seq=after, limit=size + 1)
        shown = fitting(map(convert.message, found[:size]))
        more = len(found) > len(shown)
        token = offsets.encode("messages", session_id, shown[-1].seq) if more else ""
        return pb.ListMessagesResponse(messages=shown, next_page_token=token)

    async def ListRawPayloads(
        self, request: pb.ListRawPayloadsRequest, context: Context
    ) -> pb.ListRawPayloadsResponse:
        session_id = _session_id(request.session_id)
        size = requests.page(request.page_size, "", _MESSAGES_A_PAGE).size
        after = offsets.decode("raw", session_id, request.page_token)
        found = await self._sessions.raw(caller(), session_id, after=after, limit=size + 1)
        shown = fitting(map(convert.raw_payload, found[:size]))
        more = len(found) > len(shown)
        token = offsets.encode("raw", session_id, after + len(shown)) if more else ""
        return pb.ListRawPayloadsResponse(payloads=shown, next_page_token=token)

    async def ListResults(self, request: pb.ListResultsRequest, context: Context) -> pb.ListResultsResponse:
        results = await self._sessions.results(caller(), _session_id(request.session_id))
        return pb.ListResultsResponse(results=map(convert_evaluations.result, results))

    async def EvaluateSession(
        self, request: pb.EvaluateSessionRequest, context: Context
    ) -> pb.EvaluateSessionResponse:
        session_id = _session_id(request.session_id)
        evaluation_ids = requests.uuids(request.evaluation_ids, "evaluation_ids")
        results = await self._sessions.evaluate(caller(), session_id, evaluation_ids)
        return pb.EvaluateSessionResponse(results=map(convert_evaluations.result, results))

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.SendMessageResponse:
        message = await self._sessions.send_message(
            caller(),
            _session_id(request.session_id),
            convert.read_said(request),
            requests.request_id(request.request_id),
        )
        return pb.SendMessageResponse(message=convert.message(message))

    async def TakeOver(self, request: pb.TakeOverRequest, context: Context) -> pb.TakeOverResponse:
        session = await self._sessions.take_over(caller(), _session_id(request.session_id))
        return pb.TakeOverResponse(session=convert.session(session))

    async def HandBack(self, request: pb.HandBackRequest, context: Context) -> pb.HandBackResponse:
        session = await self._sessions.hand_back(caller(), _session_id(request.session_id))
        return pb.HandBackResponse(session=convert.session(session))


def _event(seq: int, item: Session | Message | EvaluationResult | None) -> pb.WatchSessionResponse:
    match item:
        case Session():
            return pb.WatchSessionResponse(seq=seq, session=convert.session(item))
        case Message():
            return pb.WatchSessionResponse(seq=seq, message=convert.message(item))
        case EvaluationResult():
            return pb.WatchSessionResponse(seq=seq, result=convert_evaluations.result(item))
        case None:
            return pb.WatchSessionResponse(seq=seq, agent_typing=pb.AgentTypingNotice())


def _session_id(text: str) -> SessionId:
    return SessionId(requests.uuid(text, "session_id"))
