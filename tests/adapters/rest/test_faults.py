"""Whose fault it is when something fails, that it is told, and that nothing is sent twice."""

import asyncio
import datetime as dt
import email.utils
import json
import ssl
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mimic.adapter.v1 import message_pb2

from tests.adapters.rest.hosting import CHANNEL, Rest
from tests.adapters.rest.scripted import END, SSE, Play, ScriptedAgent, answer, chunk, close, head

_STREAM = {"done_data": "[DONE]", "events": {"*": {"delta": "$.text", "error": "$.error"}}}
_TOO_LONG = b'{"reply": "' + b"x" * 2000 + b'"}'


def streams(*pieces: str, end: bytes = END) -> Play:
    """Answer with a stream of these pieces."""

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE + b"".join(map(chunk, pieces)) + end)

    return play


async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(SSE + chunk('data: {"text": "half a"}\n\n'))
    await writer.drain()
    raise ConnectionError


_DEEP = b'{"reply": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

AGENT_FAULTS: list[tuple[str, Play, str, str]] = [
    ("500", answer(500, b"it broke"), "AGENT_HTTP_STATUS", "POST /chat answered 500 Whatever: it broke"),
    ("404", answer(404, b""), "AGENT_HTTP_STATUS", "POST /chat answered 404"),
    ("429", answer(429, b"slow down", headers=["Retry-After: 0"]), "AGENT_HTTP_STATUS", "429"),
    ("redirect", answer(307, b"", headers=["Location: /chat/?a=b"]), "AGENT_REDIRECTS", "to /chat/"),
    (
        "no JSON",
        answer(200, b"<html>", kind="text/html"),
        "AGENT_NOT_JSON",
        "text/html, which is not JSON: <html>",
    ),
    ("nothing", answer(200, b""), "AGENT_NOT_JSON", "nothing"),
    ("deep JSON", answer(200, _DEEP), "AGENT_NOT_JSON", "not JSON"),
    (
        "no reply",
        answer(200, b'{"answer": "hi"}'),
        "AGENT_REPLY_MISSING",
        'nothing at $.reply: {"answer": "hi"}',
    ),
    ("no text", answer(200, b'{"reply": {"a": 1}}'), "AGENT_REPLY_MISSING", "an object at $.reply"),
    ("half a character", answer(500, rb'{"error": "\ud83d"}'), "AGENT_HTTP_STATUS", r"\ud83d"),
    ("half a character in JSON", answer(200, rb'{"error": "\ud83d"}'), "AGENT_ERROR", "\ufffd"),
    ("error", answer(200, b'{"error": {"code": 7}}'), "AGENT_ERROR", 'an error: {"code": 7}'),
    ("too large", answer(200, _TOO_LONG), "AGENT_ANSWER_TOO_LARGE", "more than 1500 bytes"),
    ("closed at once", close(), "AGENT_NO_ANSWER", "closed without an answer"),
    ("reset", close(reset=True), "AGENT_NO_ANSWER", "closed without an answer"),
    ("no HTTP", close(b"SSH-2.0-OpenSSH\r\n\r\n"), "AGENT_NOT_HTTP", "not HTTP"),
    ("body cut", close(head(200, "Content-Length: 100") + b'{"re'), "AGENT_ANSWER_CUT", "cut off"),
    ("silent", silence, "AGENT_TIMEOUT", "silent for 0.5 s"),
    ("stream cut", cut, "AGENT_ANSWER_CUT", "cut off"),
    ("stream without end", streams('data: {"text": "half a"}\n\n'), "AGENT_ANSWER_CUT", "half a"),
    ("stream of no JSON", streams("data: {half\n\n"), "AGENT_NOT_JSON", "{half"),
    ("stream of errors", streams('data: {"error": "boom"}\n\n'), "AGENT_ERROR", "boom"),
    ("large event", streams(f"data: {'x' * 1200}\n\n"), "AGENT_ANSWER_TOO_LARGE", "event of more than 1000"),
    ("long line", streams(f"data: {'x' * 1200}"), "AGENT_ANSWER_TOO_LARGE", "line of more than 1000"),
    (
        "large stream",
        streams(*['data: {"text": "' + "x" * 300 + '"}\n\n'] * 9),
        "AGENT_ANSWER_TOO_LARGE",
        "more than 1500 bytes",
    ),
]


@pytest.mark.parametrize(
    "play, reason, text", [case[1:] for case in AGENT_FAULTS], ids=[case[0] for case in AGENT_FAULTS]
)
async def test_faults_of_the_agent(rest: Rest, play: Play, reason: str, text: str) -> None:
    settings: dict[str, Any] = {
        "reply": {"error": "$.error"},
        "streaming": _STREAM,
        "timeout_seconds": 0.5,
        "max_response_bytes": 300_000 if reason == "AGENT_NOT_JSON" else 1500,
        "max_event_bytes": 1000,
    }
    async with ScriptedAgent([play]) as agent, rest.conversing(url=agent.url, **settings) as session:
        failure = await session.fails()
        assert (failure.source, failure.info.reason) == ("AGENT", reason)
        assert text in failure.message
        assert len(failure.message) < 500
        # The message had left, once.
        receipts = [event.receipt.message_id for event in session.talk.events if event.HasField("receipt")]
        assert receipts == ["m1"]
        assert len(await agent.received(1)) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_no_fault_of_the_agent(rest: Rest, status: int) -> None:
    token = "token-of-the-test-suite"
    plays = [answer(status, f"who is {token}?".encode()), answer()]
    async with ScriptedAgent(plays) as agent:
        connection = await rest.connect(url=agent.url, token=token)
        session = await rest.open(connection)
        failure = await session.fails()
        assert (failure.code.name, failure.source) == ("UNAUTHENTICATED", "CHANNEL")
        assert "token" in failure.info.metadata["remedy"]
        assert token not in failure.message
        assert "[redacted]" in failure.message
        again = await rest.open(connection)
        assert (await again.say("hi")).texts == ["ok"]
        await rest.disconnect(connection)


async def test_a_secret_is_not_shown_by_halves(rest: Rest) -> None:
    token = "token-" + "x" * 40
    padding = "p" * 180
    async with (
        ScriptedAgent([answer(500, f"{padding}{token}".encode())]) as agent,
        rest.conversing(url=agent.url, token=token) as session,
    ):
        failure = await session.fails()
    assert "token-" not in failure.message


async def test_nobody_listens(rest: Rest) -> None:
    agent = ScriptedAgent()
    async with agent:
        pass
    async with rest.conversing(url=agent.url) as session:
        turn = await session.say("hi")
        (receipt,) = turn.receipts
        assert turn.kinds == ["receipt"]
        assert (receipt.fault.source, receipt.fault.reason) == (CHANNEL, "NOT_CONNECTED")
        assert "127.0.0.1" in receipt.fault.message
        assert receipt.fault.remedy
        # The conversation is not over.
        assert (await session.say("hi")).receipts[0].message_id == "m2"


async def test_a_host_that_does_not_exist(rest: Rest) -> None:
    async with rest.conversing(url="http://nowhere.invalid/chat", connect_timeout_seconds=3) as session:
        (receipt,) = (await session.say("hi")).receipts
    assert receipt.fault.source == CHANNEL
    # A resolver that waits for a network that is not there says nothing in time.
    assert receipt.fault.reason in {"HOST_UNKNOWN", "CONNECT_TIMEOUT"}


@pytest.mark.parametrize("speaks, reason", [(True, "TLS_FAILED"), (False, "CONNECT_TIMEOUT")])
async def test_a_server_without_tls(rest: Rest, speaks: bool, reason: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if speaks:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat"
        async with rest.conversing(url=url, connect_timeout_seconds=0.5) as session:
            (receipt,) = (await session.say("hi")).receipts
    assert (receipt.fault.source, receipt.fault.reason) == (CHANNEL, reason)


async def test_a_connection_is_tried_again_before_anything_left(rest: Rest) -> None:
    agent = ScriptedAgent()
    async with agent:
        port = int(agent.url.rsplit(":", 1)[1].partition("/")[0])
    async with rest.conversing(url=agent.url) as session:
        await session.send("hi")
        # Within the time that two more tries take.
        async with ScriptedAgent(port=port) as late:
            assert (await session.turn()).texts == ["ok"]
            assert len(await late.received(1)) == 1


async def test_a_kept_connection_that_breaks_is_the_channels(rest: Rest) -> None:
    async with (
        ScriptedAgent([answer(), close()]) as agent,
        rest.conversing(url=agent.url) as session,
    ):
        assert (await session.say("hi")).texts == ["ok"]
        failure = await session.fails("again")
        received = await agent.received(2)
    assert (failure.source, failure.info.reason) == ("CHANNEL", "CONNECTION_LOST")
    assert [one.connection for one in received] == [1, 1]


async def test_a_connection_that_the_agent_closed_is_not_used_again(rest: Rest) -> None:
    async with ScriptedAgent(close_idle=True) as agent, rest.conversing(url=agent.url) as session:
        for _ in range(3):
            assert (await session.say("hi")).texts == ["ok"]
        received = await agent.received(3)
    assert [one.connection for one in received] == [1, 2, 3]


async def test_retry_after_is_honoured_only_where_it_is_allowed(rest: Rest) -> None:
    soon = email.utils.formatdate(time.time() + 0.2, usegmt=True)
    busy = [
        answer(429, b"", headers=["Retry-After: 0"]),
        answer(),
        answer(503, b"", headers=[f"Retry-After: {soon}"]),
        answer(),
        answer(503, b"", headers=["Retry-After: 60"]),
    ]
    async with (
        ScriptedAgent(busy) as agent,
        rest.conversing(url=agent.url, retry_after_seconds=2) as session,
    ):
        turn = await session.say("hi")
        assert (turn.texts, len(turn.receipts)) == (["ok"], 1)
        assert (await session.say("hi")).texts == ["ok"]
        failure = await session.fails()
        received = await agent.received(5)
    assert (failure.source, failure.info.reason) == ("AGENT", "AGENT_HTTP_STATUS")
    assert [one.headers["mimic-message-id"] for one in received] == ["m1", "m1", "m2", "m2", "m3"]


async def test_a_busy_agent_that_does_not_say_when_is_not_asked_again(rest: Rest) -> None:
    async with (
        ScriptedAgent([answer(503, b"")]) as agent,
        rest.conversing(url=agent.url, retry_after_seconds=9) as session,
    ):
        assert (await session.fails()).info.reason == "AGENT_HTTP_STATUS"
        assert len(await agent.received(1)) == 1


async def test_a_setup_that_fails(rest: Rest) -> None:
    setup = {"path": "/start", "remember": {"thread": "$.id"}}
    cases = [(answer(500, b""), "AGENT_HTTP_STATUS"), (answer(200, b"{}"), "AGENT_REPLY_MISSING")]
    for play, reason in cases:
        async with ScriptedAgent([play]) as agent:
            connection = await rest.connect(url=agent.url, setup=setup)
            session = await rest.open(connection)
            failure = await session.talk.failure()
            await rest.disconnect(connection)
        assert (failure.source, failure.info.reason) == ("AGENT", reason)
    gone = ScriptedAgent()
    async with gone:
        pass
    connection = await rest.connect(url=gone.url, setup=setup)
    failure = await (await rest.open(connection)).talk.failure()
    assert (failure.code.name, failure.source, failure.info.reason) == (
        "UNAVAILABLE",
        "CHANNEL",
        "UNREACHABLE",
    )
    await rest.disconnect(connection)


async def test_an_answer_that_never_gets_ready(rest: Rest) -> None:
    poll = {"interval_seconds": 0.1, "path": "/status"}
    async with (
        ScriptedAgent([answer(202, b"{}")]) as agent,
        rest.conversing(url=agent.url, poll=poll, timeout_seconds=0.5) as session,
    ):
        assert (await session.fails()).info.reason == "AGENT_TIMEOUT"


@pytest.mark.parametrize(
    "headers, reason",
    [([], "AGENT_NO_LOCATION"), (["Location: http://elsewhere.invalid/x"], "AGENT_BAD_LOCATION")],
)
async def test_a_location_that_leads_nowhere(rest: Rest, headers: list[str], reason: str) -> None:
    play = answer(202, b"{}", headers=headers)
    async with ScriptedAgent([play]) as agent, rest.conversing(url=agent.url, poll={}) as session:
        assert (await session.fails()).info.reason == reason


async def test_what_cannot_be_said_is_not_sent(rest: Rest) -> None:
    async with ScriptedAgent() as agent, rest.conversing(url=agent.url) as session:
        await session.send(message_pb2.Part(location=message_pb2.Location(latitude=1, longitude=2)))
        assert (await session.turn()).receipts[0].fault.reason == "NOTHING_TO_SEND"
        await session.send("changed", replaces="m0")
        assert (await session.turn()).receipts[0].fault.reason == "EDIT_NOT_POSSIBLE"
        await session.send("x" * 100_001)
        assert (await session.turn()).receipts[0].fault.reason == "TEXT_TOO_LONG"
        assert (await session.say("x" * 100_000)).texts == ["ok"]
        assert len(await agent.received(1)) == 1


async def test_a_certificate_that_is_not_trusted(rest: Rest, tmp_path: Any) -> None:
    key, certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        body = json.dumps({"reply": "secret"}).encode()
        writer.write(head(200, f"Content-Length: {len(body)}") + body)
        await writer.drain()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/chat"
        async with rest.conversing(url=url) as session:
            (receipt,) = (await session.say("hi")).receipts
            assert (receipt.fault.source, receipt.fault.reason) == (CHANNEL, "TLS_NOT_TRUSTED")
        async with rest.conversing(url=url, ca_file=str(certificate)) as session:
            assert (await session.say("hi")).texts == ["secret"]
        async with rest.conversing(url=url, verify_tls=False) as session:
            assert (await session.say("hi")).texts == ["secret"]


def _certificate(folder: Any) -> tuple[Any, Any]:
    """Make a certificate of localhost that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file
