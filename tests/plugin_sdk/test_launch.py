"""How a process is launched: the environment, the handshake, and what a person sees who starts it."""

import grp
import json
import os
import stat
import tempfile

import grpc
import pytest
from mimic.adapter.v1 import adapter_pb2
from mimic_plugin_sdk._stdout import COOKIE_NAME

from tests.plugin_sdk.host import Process, command, environment, launched, started
from tests.support.processes import ROOT


async def _output(process: Process) -> str:
    assert process.process.stdout
    return (await process.process.stdout.read()).decode()


async def test_the_handshake_names_version_and_socket() -> None:
    async with launched("Echo") as host:
        assert host.line == f"1|1|unix|{host.socket}|grpc|"
        assert stat.S_ISSOCK(host.socket.stat().st_mode)
        assert host.socket.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("offered", ["1", "2,1", " 1 ,7", "7,9", "", "nonsense"])
async def test_the_version_is_the_largest_common_one_or_the_lowest_of_ours(offered: str) -> None:
    async with launched("Echo", PLUGIN_PROTOCOL_VERSIONS=offered) as host:
        assert host.line.split("|")[1] == "1"


@pytest.mark.parametrize("asked,end", [("true", "|grpc||false"), ("", "|grpc|")])
async def test_multiplexing_is_declined_only_when_asked(asked: str, end: str) -> None:
    async with launched("Echo", PLUGIN_MULTIPLEX_GRPC=asked) as host:
        assert host.line.endswith(end)


@pytest.mark.parametrize("named", ["name", "id"])
async def test_the_socket_is_opened_to_a_group(named: str) -> None:
    group = grp.getgrgid(os.getgid())
    asked = group.gr_name if named == "name" else str(group.gr_gid)
    async with launched("Echo", PLUGIN_UNIX_SOCKET_GROUP=asked) as host:
        found = host.socket.stat()
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert found.st_gid == group.gr_gid


async def test_without_unix_sockets_a_port_of_the_range_is_taken() -> None:
    async with (
        launched("WithoutUnix", PLUGIN_MIN_PORT="10000", PLUGIN_MAX_PORT="25000") as first,
        launched("WithoutUnix", PLUGIN_MIN_PORT="10000", PLUGIN_MAX_PORT="25000") as second,
    ):
        ports = [int(host.line.split("|")[3].removeprefix("127.0.0.1:")) for host in (first, second)]
        assert ports[0] != ports[1]
        assert all(10000 <= port <= 25000 for port in ports)
        await second.stub.GetManifest(adapter_pb2.GetManifestRequest())


@pytest.mark.parametrize(
    "adapter,env,texts",
    [
        ("Echo", {"PLUGIN_CLIENT_CERT": "-----BEGIN CERTIFICATE-----\n..."}, ["AutoMTLS"]),
        ("Echo", {"PLUGIN_UNIX_SOCKET_DIR": "/tmp/" + 107 * "x"}, ["107", "PLUGIN_UNIX_SOCKET_DIR"]),
        ("Echo", {"PLUGIN_UNIX_SOCKET_DIR": "/nowhere"}, ["/nowhere"]),
        ("Echo", {"PLUGIN_UNIX_SOCKET_GROUP": "no such group"}, ["no such group"]),
        ("Echo", {"PLUGIN_MIN_PORT": "low"}, ["PLUGIN_MIN_PORT"]),
        ("Echo", {"MIMIC_LOG_LEVEL": "LOUD"}, ["MIMIC_LOG_LEVEL"]),
        ("Echo", {"MIMIC_MAX_MESSAGE_BYTES": "big"}, ["MIMIC_MAX_MESSAGE_BYTES"]),
        ("WithoutUnix", {"PLUGIN_MIN_PORT": "1", "PLUGIN_MAX_PORT": "0"}, ["none of the ports"]),
        ("Unstartable", {}, ["the shared server is down"]),
    ],
)
async def test_what_cannot_be_is_said_in_one_line(
    adapter: str, env: dict[str, str], texts: list[str]
) -> None:
    async with started(command(adapter), environment(**env)) as process:
        assert await _output(process) == ""
        assert await process.ended() == 1
    lines = [line for line in process.lines if not line.startswith("{")]
    assert len(lines) == 1
    assert lines[0].startswith("mimic-adapter-probe: ")
    assert all(text in lines[0] for text in texts)


@pytest.mark.parametrize("cookie", [None, "wrong"])
async def test_without_the_cookie_a_person_is_told_what_this_is(cookie: str | None) -> None:
    env = environment()
    del env[COOKIE_NAME]
    if cookie:
        env[COOKIE_NAME] = cookie
    async with started(command("Echo"), env) as process:
        assert await _output(process) == ""
        assert await process.ended() == 1
    text = "\n".join(process.lines)
    assert "mimic-adapter-probe 1.2.3: Probes the SDK." in text
    assert "--listen" in text


@pytest.mark.parametrize(
    "option,text",
    [("--help", "--tls-client-ca"), ("--version", "mimic-adapter-probe 1.2.3")],
)
async def test_a_person_is_answered_on_stdout(option: str, text: str) -> None:
    async with started([*command("Echo"), option], environment()) as process:
        assert text in await _output(process)
        assert await process.ended() == 0


async def test_the_manifest_is_printed_as_json() -> None:
    async with started([*command("Pair"), "--manifest"], environment()) as process:
        manifest = json.loads((await _output(process)).removeprefix("from import\n"))
    assert manifest["channel"] == "probe"
    assert manifest["modes"] == ["MODE_LIVE", "MODE_EMULATOR"]
    assert manifest["capabilities"]["max_concurrent_sessions"] == "2"
    schema = json.loads(manifest["settings_schema_json"])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["properties"]["token"]["writeOnly"] is True
    assert "writeOnly" not in schema["properties"]["url"]


async def test_a_message_may_be_as_large_as_configured() -> None:
    async with launched("Echo", MIMIC_MAX_MESSAGE_BYTES="5000000") as host:
        await host.connect(url="x" * 4_900_000)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await host.connect(url="x" * 5_100_000)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_example_is_found_by_its_name_and_serves() -> None:
    script = ROOT / "examples" / "echo_adapter" / "mimic-adapter-echo"
    with tempfile.TemporaryDirectory(prefix="mimic") as folder:
        async with started([str(script)], environment(PLUGIN_UNIX_SOCKET_DIR=folder)) as process:
            assert process.process.stdout
            line = (await process.process.stdout.readline()).decode()
            assert line.startswith(f"1|1|unix|{folder}/")
            process.process.terminate()
            assert await process.ended() == 0
            assert not os.listdir(folder)  # noqa: PTH208 - pathlib would block
