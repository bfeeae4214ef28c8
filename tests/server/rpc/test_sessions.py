from __future__ import annotations

from typing import Any

import grpc
import pytest
from mimic.adapter.v1 import message_pb2
from mimic.v1 import evaluations_pb2
from mimic.v1 import sessions_pb2 as pb

from tests.server.rpc.bench import Client, refused

Code = grpc.StatusCode


async def created(api: Client, *, evaluated: bool = False, **fields: Any) -> pb.Session:
    """A session of a new agent."""
    agent = await api.agent()
    persona = await api.persona(agent.id)
    if evaluated:
        await api.evaluation(agent.id)
    request = pb.CreateSessionRequest(agent_id=agent.id, persona_id=persona.id, **fields)
    return (await api.sessions.CreateSession(request)).session


async def watched(api: Client, session_id: str, after: int = 0) -> list[pb.WatchSessionResponse]:
    """All events of a session to its end."""
    watch = api.sessions.WatchSession(pb.WatchSessionRequest(session_id=session_id, after_seq=after))
    return [event async for event in watch]


async def test_a_session_is_watched_from_any_of_its_events(api: Client) -> None:
    session = await created(api, evaluated=True)
    events = await watched(api, session.id)
    last = events[-1].session
    assert last.state == pb.SESSION_STATE_COMPLETED
    assert last.termination_reason == pb.TERMINATION_REASON_GOALS_REACHED
    stored = [event for event in events if event.seq]
    assert [event.seq for event in stored] == sorted(event.seq for event in stored)
    assert {event.WhichOneof("event") for event in stored} == {"session", "message", "result"}
    again = await watched(api, session.id, after=stored[2].seq)
    assert all(event.seq > stored[2].seq for event in again)
    assert again[-1].session == last
    read = (await api.sessions.GetSession(pb.GetSessionRequest(session_id=session.id))).session
    assert read == last
    for after in (read.last_seq + 1000, -1):
        with refused(Code.INVALID_ARGUMENT, "after_seq"):
            await watched(api, session.id, after)


async def test_messages_come_in_pages(api: Client) -> None:
    session = await created(api)
    await watched(api, session.id)

    async def page(**fields: Any) -> pb.ListMessagesResponse:
        return await api.sessions.ListMessages(pb.ListMessagesRequest(session_id=session.id, **fields))

    everything = await page()
    assert [m.text for m in everything.messages][:2] == ["hello", "you said: hello"]
    assert [m.sender for m in everything.messages][:2] == [
        evaluations_pb2.SENDER_PERSONA,
        evaluations_pb2.SENDER_AGENT,
    ]
    assert everything.messages[0].parts[0].text.text == "hello"
    assert everything.messages[0].sent.clock_id
    found: list[pb.Message] = []
    token = ""
    while True:
        some = await page(page_size=1, page_token=token)
        found += some.messages
        token = some.next_page_token
        if not token:
            break
    assert found == list(everything.messages)
    other = await created(api)
    token = (await page(page_size=1)).next_page_token
    for wrong in (token, "nonsense", "x"):
        with refused(Code.INVALID_ARGUMENT, "page_token"):
            await api.sessions.ListMessages(pb.ListMessagesRequest(session_id=other.id, page_token=wrong))
    with refused(Code.INVALID_ARGUMENT, "page_token"):
        await api.sessions.ListRawPayloads(pb.ListRawPayloadsRequest(session_id=session.id, page_token=token))


async def test_results_are_listed_and_made_again(api: Client) -> None:
    session = await created(api, evaluated=True)
    await watched(api, session.id)
    (result,) = (await api.sessions.ListResults(pb.ListResultsRequest(session_id=session.id))).results
    assert (result.name, result.verdict) == ("No apologies", evaluations_pb2.VERDICT_PASS)
    again = await api.sessions.EvaluateSession(
        pb.EvaluateSessionRequest(session_id=session.id, evaluation_ids=[result.evaluation_id])
    )
    assert [r.value for r in again.results] == [result.value]
    with refused(Code.INVALID_ARGUMENT, "evaluation_ids"):
        await api.sessions.EvaluateSession(
            pb.EvaluateSessionRequest(session_id=session.id, evaluation_ids=[result.evaluation_id] * 2)
        )


async def test_sessions_are_listed_by_what_they_are(api: Client) -> None:
    session = await created(api)
    await watched(api, session.id)
    await created(api, human_control=True)
    for fields, number in (
        ({}, 2),
        ({"agent_id": session.agent_id}, 1),
        ({"persona_id": session.persona_id}, 1),
        ({"states": [pb.SESSION_STATE_COMPLETED, pb.SESSION_STATE_FAILED]}, 1),
        ({"states": [pb.SESSION_STATE_CANCELLED]}, 0),
        ({"run_id": session.agent_id}, 0),
    ):
        listing = await api.sessions.ListSessions(pb.ListSessionsRequest(**fields))
        assert len(listing.sessions) == number, fields
    for states in ([0], [99]):
        with refused(Code.INVALID_ARGUMENT, "states[0]"):
            await api.sessions.ListSessions(pb.ListSessionsRequest(states=states))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options,violated",
    [
        ({"max_turns": 0}, "options.max_turns"),
        ({"turn_timeout_ms": 99}, "options.turn_timeout_ms"),
        ({"turn_quiet_ms": 0}, "options.turn_quiet_ms"),
        ({"pace": 11}, "options.pace"),
        ({"pace": float("nan")}, "options.pace"),
        ({"seed": -1}, "options.seed"),
        ({"max_tokens": -1}, "options.max_tokens"),
        ({"max_attempts": 11}, "options.max_attempts"),
    ],
)
async def test_each_option_has_its_limits(api: Client, options: dict[str, Any], violated: str) -> None:
    with refused(Code.INVALID_ARGUMENT, violated):
        await created(api, options=pb.SessionOptions(**options))


async def test_a_session_needs_a_connection(api: Client) -> None:
    agent = await api.agent(connected=False)
    persona = await api.persona(agent.id)
    with refused(Code.FAILED_PRECONDITION, reason="AGENT_HAS_NO_CONNECTION"):
        await api.sessions.CreateSession(pb.CreateSessionRequest(agent_id=agent.id, persona_id=persona.id))


async def test_a_person_plays_the_persona(api: Client) -> None:
    session = await created(api, human_control=True)
    watch = api.sessions.WatchSession(pb.WatchSessionRequest(session_id=session.id))
    async for event in watch:
        if event.session.state == pb.SESSION_STATE_RUNNING:
            break
    request = pb.SendMessageRequest(session_id=session.id, text="hi there", request_id="m1")
    sent = (await api.sessions.SendMessage(request)).message
    assert sent.text == "hi there"
    assert (await api.sessions.SendMessage(request)).message.seq == sent.seq
    await api.sessions.HandBack(pb.HandBackRequest(session_id=session.id))
    last = (await watched(api, session.id))[-1].session
    assert last.state == pb.SESSION_STATE_COMPLETED
    with refused(Code.FAILED_PRECONDITION):
        await api.sessions.TakeOver(pb.TakeOverRequest(session_id=session.id))
    with refused(Code.FAILED_PRECONDITION):
        await api.sessions.SendMessage(pb.SendMessageRequest(session_id=session.id, text="x"))


@pytest.mark.parametrize(
    "fields,violated",
    [
        ({}, "parts"),
        ({"text": "a", "parts": [message_pb2.Part(text=message_pb2.Text(text="b"))]}, "text"),
        ({"text": "x" * 100_001}, "text"),
        ({"parts": [message_pb2.Part()]}, "parts[0]"),
        ({"parts": [message_pb2.Part(text=message_pb2.Text())]}, "parts[0].text.text"),
        ({"parts": [message_pb2.Part(dtmf=message_pb2.Dtmf(digits="1x"))]}, "parts[0].dtmf.digits"),
        ({"parts": [message_pb2.Part(media=message_pb2.Media(uri="file:///etc/passwd"))]}, "parts[0].media"),
        (
            {"parts": [message_pb2.Part(media=message_pb2.Media(data=b"x" * (2**20 + 1)))]},
            "parts[0].media.data",
        ),
        (
            {"parts": [message_pb2.Part(location=message_pb2.Location(latitude=91))]},
            "parts[0].location.latitude",
        ),
        ({"parts": [message_pb2.Part(card=message_pb2.Card(text="x"))]}, "parts[0].card"),
    ],
)
async def test_what_a_person_cannot_say(api: Client, fields: dict[str, Any], violated: str) -> None:
    session = await created(api, human_control=True)
    with refused(Code.INVALID_ARGUMENT, violated):
        await api.sessions.SendMessage(pb.SendMessageRequest(session_id=session.id, **fields))
