"""What a followed session looks like."""

import io

from mimic.v1 import evaluations_pb2, personas_pb2, sessions_pb2
from mimic_server.cli.view import RunView
from rich.console import Console

RESPONSE = sessions_pb2.WatchSessionResponse


def said(seq: int, text: str, attempt: int = 1) -> sessions_pb2.WatchSessionResponse:
    message = sessions_pb2.Message(seq=seq, text=text, attempt=attempt, sender=evaluations_pb2.SENDER_PERSONA)
    return RESPONSE(message=message)


def test_the_header_comes_first_new_attempts_are_marked_and_the_end_is_told_once() -> None:
    session = sessions_pb2.Session(
        id="s", persona=personas_pb2.Persona(name="Maya", goals=["a refund"]), turns=1
    )
    session.attempts.add(number=1, note="the stream broke")
    session.attempts.add(number=2)
    ended = sessions_pb2.Session()
    ended.CopyFrom(session)
    ended.state = sessions_pb2.SESSION_STATE_COMPLETED
    other = sessions_pb2.Session(id="t", persona=personas_pb2.Persona(name="Otto"))
    file = io.StringIO()
    view = RunView(Console(file=file, width=80), follows=True)
    for event in (
        said(1, "Hello"),
        RESPONSE(session=session),
        said(2, "Hello again", attempt=2),
        RESPONSE(session=ended),
        RESPONSE(session=ended),
        RESPONSE(session=other),
    ):
        view.followed(event)
    lines = [line.strip() for line in file.getvalue().splitlines() if line.strip()]
    assert [line.split("  ")[0] for line in lines] == [
        "Maya",
        "wants: a refund",
        "Maya > Hello",
        "-- attempt 2: the stream broke --",
        "Maya > Hello again",
        "Maya: ended after 1 turn (attempt 2)",
    ]
