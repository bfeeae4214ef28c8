"""How answers look to a person."""

import io
import json

import pytest
from google.protobuf.message import Message
from mimic.adapter.v1 import conversation_pb2
from mimic.v1 import adapters_pb2, evaluations_pb2, personas_pb2, runs_pb2, sessions_pb2
from mimic_server.cli import render
from rich.console import Console

ID = "0198f2c5-0000-7000-8000-000000000000"


def shown(message: Message, output: str = "table", width: int = 80) -> str:
    file = io.StringIO()
    render.show(message, output, Console(file=file, width=width))
    return file.getvalue()


def watched(*events: Message, output: str = "table") -> list[str]:
    file = io.StringIO()
    view = render.Events(output, Console(file=file, width=80))
    for event in events:
        view.show(event)
    return file.getvalue().splitlines()


def session(**fields: object) -> sessions_pb2.Session:
    made = sessions_pb2.Session(
        id=ID,
        agent_id=ID,
        persona=personas_pb2.Persona(name="Maya", background="long " * 200),
        state=sessions_pb2.SESSION_STATE_RUNNING,
        channel="rest",
        model="scripted",
        turns=3,
        seed=2**60,
    )
    made.create_time.seconds = 1_700_000_000
    made.MergeFrom(sessions_pb2.Session(**fields))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("width", [80, 120, 240])
def test_a_row_of_a_list_is_one_line(width: int) -> None:
    lines = shown(
        sessions_pb2.ListSessionsResponse(sessions=[session(), session()]), width=width
    ).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    assert lines[0].split()[:4] == ["id", "persona", "channel", "state"]
    assert lines[1].split()[:4] == [ID, "Maya", "rest", "running"]
    assert "long" not in lines[1]


def test_a_wider_table_tells_more_and_an_id_is_never_cut() -> None:
    answer = sessions_pb2.ListSessionsResponse(sessions=[session()])
    assert "create_time" not in shown(answer, width=60)
    assert "2023-11-14" in shown(answer, width=120)
    assert ID in shown(answer, width=20)


def test_messages_are_listed_by_number_with_what_was_said() -> None:
    messages = [
        sessions_pb2.Message(seq=n, id=ID, sender=evaluations_pb2.SENDER_AGENT, text="word " * 90)
        for n in (1, 2)
    ]
    lines = shown(sessions_pb2.ListMessagesResponse(messages=messages)).splitlines()
    assert lines[1].startswith("1    agent   word word")
    assert lines[1].endswith("…")
    assert len(lines[1]) <= 80


def test_a_long_value_is_cut_but_not_in_json() -> None:
    adapter = adapters_pb2.Adapter(channel="rest", launched_by="x" * 5000)
    answer = adapters_pb2.GetAdapterResponse(adapter=adapter)
    assert max(map(len, shown(answer).splitlines())) < 350
    assert "…" in shown(answer)
    assert "x" * 5000 in shown(answer, "json")


def test_a_watched_session_is_short_lines() -> None:
    said = sessions_pb2.Message(seq=1, sender=evaluations_pb2.SENDER_PERSONA, text="Hello\nthere")
    sent = sessions_pb2.Message()
    sent.CopyFrom(said)
    sent.receipt = conversation_pb2.RECEIPT_STATUS_SENT
    answer = sessions_pb2.Message(seq=2, sender=evaluations_pb2.SENDER_AGENT, text="Hi")
    ended = session(
        state=sessions_pb2.SESSION_STATE_COMPLETED,
        turns=1,
        termination_reason=sessions_pb2.TERMINATION_REASON_GOALS_REACHED,
    )
    response = sessions_pb2.WatchSessionResponse
    events = [
        response(session=session()),
        response(message=said),
        response(message=sent),
        response(message=answer),
        response(agent_typing=sessions_pb2.AgentTypingNotice()),
        response(session=ended),
    ]
    assert watched(*events) == [
        f"session {ID}  Maya  running  3 turns",
        "#1 persona > Hello there",
        "#1 sent",
        "#2 agent < Hi",
        "agent typing",
        f"session {ID}  Maya  completed  1 turn  goals reached",
    ]
    lines = watched(*events, output="json")
    assert len(lines) == len(events)
    assert json.loads(lines[0])["session"]["persona"]["background"]


def test_what_has_no_line_of_its_own_has_a_short_one() -> None:
    run = runs_pb2.Run(id=ID, name="Nightly", persona_ids=[ID] * 50, sessions_total=6)
    (line,) = watched(runs_pb2.WatchRunResponse(run=run))
    assert line == f"run  id={ID}  name=Nightly  sessions_total=6"
