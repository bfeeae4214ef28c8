"""An adapter that a person runs for a Mimic elsewhere."""

import datetime as dt
import ipaddress
import signal
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mimic.adapter.v1 import adapter_pb2, adapter_pb2_grpc
from mimic_plugin_sdk._stdout import COOKIE_NAME

from tests.plugin_sdk.host import Process, command, environment, started


def _env() -> dict[str, str]:
    env = environment()
    del env[COOKIE_NAME]
    return env


async def _address(process: Process) -> str:
    line = await process.logged("listening on ")
    return line["@message"].removeprefix("listening on ").split(",")[0]


async def _version(channel: grpc.aio.Channel) -> str:
    async with channel:
        stub = adapter_pb2_grpc.AdapterServiceStub(channel)
        answer = await stub.GetManifest(adapter_pb2.GetManifestRequest(), timeout=5)
    return answer.manifest.version


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_plaintext_serves_loopback_until_it_is_ended(end: signal.Signals) -> None:
    async with started([*command("Echo"), "--listen", "127.0.0.1:0"], _env()) as process:
        address = await _address(process)
        assert await _version(grpc.aio.insecure_channel(address)) == "1.2.3"
        process.process.send_signal(end)
        assert await process.ended() == 0


@pytest.mark.parametrize(
    "options,text",
    [
        (["--listen", "0.0.0.0:0"], "--insecure-plaintext"),
        (["--listen", "7000"], "give host:port"),
        (["--listen", "127.0.0.1:0", "--tls-cert", "x"], "go together"),
        (["--listen", "127.0.0.1:0", "--tls-client-ca", "x"], "needs --tls-cert"),
        (["--listen", "127.0.0.1:0", "--tls-cert", "/no.pem", "--tls-key", "/no.pem"], "cannot read /no.pem"),
        (["--listen", "192.0.2.1:1", "--insecure-plaintext"], "cannot listen on 192.0.2.1:1"),
    ],
)
async def test_what_cannot_be_is_said_in_one_line(options: list[str], text: str) -> None:
    async with started([*command("Echo"), *options], _env()) as process:
        assert await process.ended() == 1
    lines = [line for line in process.lines if line.startswith("mimic-adapter-probe: ")]
    assert len(lines) == 1
    assert text in lines[0]


async def test_plaintext_to_the_network_is_served_when_named() -> None:
    options = ["--listen", "0.0.0.0:0", "--insecure-plaintext"]
    async with started([*command("Echo"), *options], _env()) as process:
        port = (await _address(process)).rsplit(":", 1)[1]
        assert await _version(grpc.aio.insecure_channel(f"127.0.0.1:{port}")) == "1.2.3"


@dataclass(frozen=True)
class Identity:
    """A self-signed certificate and its key, in files."""

    certificate: Path
    key: Path


def _identity(folder: Path, name: str) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    identity = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    identity.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return identity


async def test_tls_and_mutual_tls(tmp_path: Path) -> None:
    server, client = _identity(tmp_path, "server"), _identity(tmp_path, "client")
    options = ["--listen", "127.0.0.1:0", "--tls-cert", str(server.certificate), "--tls-key", str(server.key)]
    root = server.certificate.read_bytes()
    known = grpc.ssl_channel_credentials(root, client.key.read_bytes(), client.certificate.read_bytes())
    unknown = grpc.ssl_channel_credentials(root)
    async with started([*command("Echo"), *options], _env()) as process:
        address = await _address(process)
        assert await _version(grpc.aio.secure_channel(address, unknown)) == "1.2.3"
    mutual = [*options, "--tls-client-ca", str(client.certificate)]
    async with started([*command("Echo"), *mutual], _env()) as process:
        address = await _address(process)
        assert await _version(grpc.aio.secure_channel(address, known)) == "1.2.3"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await _version(grpc.aio.secure_channel(address, unknown))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
