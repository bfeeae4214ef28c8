from __future__ import annotations

import dataclasses
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mimic_server.domain.adapters import AdapterState
from mimic_server.domain.errors import FaultError
from mimic_server.domain.ports import ConversationLost
from mimic_server.host import Attached, Tls

from tests.server.host.playground import QUICK, Chat, Hosts, connection, status_of, until
from tests.support.processes import python_service

HOSTILE = "tests.support.adapters.hostile"


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def test_an_attached_adapter(hosts: Hosts) -> None:
    async with python_service(HOSTILE, ["far", "127.0.0.1:0"]) as service:
        address = f"127.0.0.1:{service.port}"
        host = hosts(attached={"far": Attached(address)})
        chat = await Chat.open(host, connection("far"))
        assert await chat.say("hello") == "hello"
        status = status_of(host, "far")
        assert (status.state, status.launched_by, status.pid) == (AdapterState.READY, address, None)
        await chat.close()
        # It is not ours to end.
        await host.close()
        assert service.process.returncode is None


async def test_an_attached_adapter_that_comes_back_is_taken_up_again(hosts: Hosts) -> None:
    address = free_address()
    host = hosts(
        attached={"far": Attached(address)},
        limits=dataclasses.replace(QUICK, crashes=1, backoff_seconds=0.1, backoff_most_seconds=0.2),
    )
    with pytest.raises(FaultError, match="cannot be reached"):
        await host.manifest("far")
    over = connection("far")
    async with python_service(HOSTILE, ["far", address]) as service:
        await until(host, "far", AdapterState.READY)
        chat = await Chat.open(host, over)
        await service.kill()
        assert isinstance(await chat.end(), ConversationLost)
        await until(host, "far", AdapterState.BACKING_OFF)
    async with python_service(HOSTILE, ["far", address]):
        await until(host, "far", AdapterState.READY)
        assert await (await Chat.open(host, over)).say("hello") == "hello"
        await host.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca.pem, and .pem and .key of server, client and stranger."""
    directory = tmp_path_factory.mktemp("certificates")
    ca_key, ca = issue("Test CA", None)
    (directory / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    for name, issuer in (("server", (ca_key, ca)), ("client", (ca_key, ca)), ("stranger", None)):
        key, certificate = issue(name, issuer)
        (directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (directory / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return directory


Issuer = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def issue(name: str, issuer: Issuer | None) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signer, issued_by = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("adapters.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return key, certificate


def tls(directory: Path, who: str, server_name: str = "adapters.test") -> Tls:
    read = {name: (directory / name).read_bytes() for name in ("ca.pem", f"{who}.pem", f"{who}.key")}
    return Tls(read["ca.pem"], read[f"{who}.pem"], read[f"{who}.key"], server_name)


async def test_mutual_tls(hosts: Hosts, certificates: Path) -> None:
    async with python_service(HOSTILE, ["far", "127.0.0.1:0", str(certificates)]) as service:
        address = f"127.0.0.1:{service.port}"
        host = hosts(attached={"far": Attached(address, tls(certificates, "client"))})
        assert await (await Chat.open(host, connection("far"))).say("hello") == "hello"
        impatient = dataclasses.replace(QUICK, start_seconds=3)
        wrong = {
            "stranger": Attached(address, tls(certificates, "stranger")),
            "misnamed": Attached(address, tls(certificates, "client", "elsewhere.test")),
            "plaintext": Attached(address),
        }
        other = hosts(attached=wrong, limits=impatient)
        await other.start(list(wrong))
        for channel in wrong:
            status = status_of(other, channel)
            assert status.state in {AdapterState.BACKING_OFF, AdapterState.STARTING}
            assert status.manifest is None
        with pytest.raises(FaultError) as caught:
            await other.manifest("stranger")
        assert "TLS" in caught.value.fault.remedy
        await host.close()
        await other.close()
