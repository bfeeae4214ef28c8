"""Sockets over TLS: whom the adapter trusts, and that they end as others do."""

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.adapters.websocket.hosting import Adapter
from tests.adapters.websocket.scripted import ScriptedAgent, answering


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that nobody trusts, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "localhost.pem"
    path.write_bytes(made.public_bytes(pem) + secret)
    return path


async def test_a_certificate_has_to_be_trusted(adapter: Adapter, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    play = answering({"type": "message", "text": "secret"}, {"type": "turn_complete"})
    async with ScriptedAgent(play, tls=context) as agent:
        url = f"wss://localhost:{agent.url.rpartition(':')[2]}"
        connection = await adapter.connect(url=url)
        session = await adapter.open(connection)
        failure = await session.talk.failure()
        assert (failure.source, failure.info.reason) == ("CHANNEL", "TLS_NOT_TRUSTED")
        async with adapter.conversing(url=url, ca_file=str(certificate)) as session:
            assert (await session.say("hi")).texts == ["secret"]
            await session.close()
            assert (await agent.peer(1)).close_code == 1000
        async with adapter.conversing(url=url, verify_tls=False) as session:
            assert (await session.say("hi")).texts == ["secret"]
