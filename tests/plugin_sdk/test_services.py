"""What an adapter serves beside its contract: health, reflection, go-plugin's services, and its end."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from mimic.adapter.v1 import adapter_pb2
from mimic.launch import grpc_broker_pb2, grpc_broker_pb2_grpc, grpc_stdio_pb2, grpc_stdio_pb2_grpc

from tests.plugin_sdk.host import SECONDS, Gone, Host, command, conversing, environment, failed, launched

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "plugin", "mimic.adapter.v1.AdapterService"])
async def test_health_serves(service: str) -> None:
    async with launched("Echo") as host:
        answer = await _check(host)(HealthCheckRequest(service=service))
    assert answer.status == SERVING


async def test_health_knows_no_other_service() -> None:
    async with launched("Echo") as host:
        request = HealthCheckRequest(service="other")
        failure = await failed(_check(host)(request))
        watched = await _watch(host)(request).read()
    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert watched.status == HealthCheckResponse.SERVICE_UNKNOWN


def _check(host: Host) -> Any:
    return host.channel.unary_unary(
        "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )


def _watch(host: Host) -> Any:
    return host.channel.unary_stream(
        "/grpc.health.v1.Health/Watch", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )


async def test_shutdown_is_answered_at_once_and_drains() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.say("m", "hang")
        await talk.until("receipt")
        watch = _watch(host)(HealthCheckRequest(service="plugin"))
        assert (await watch.read()).status == SERVING
        await host.shut_down()
        assert (await watch.read()).status == NOT_SERVING
        checked = await _check(host)(HealthCheckRequest(service="plugin"))
        assert checked.status == NOT_SERVING
        refused = [
            await failed(host.stub.GetManifest(adapter_pb2.GetManifestRequest())),
            await failed(host.connect()),
            await (await host.open()).failure(),
            await talk.failure(),
        ]
        for failure in refused:
            assert failure.code is grpc.StatusCode.UNAVAILABLE
            assert failure.info.reason == "DRAINING"
            assert failure.retry.retry_delay.seconds == 1
        assert await host.process.ended() == 0
        assert not host.socket.exists()


async def test_a_session_that_its_host_ends_while_draining_ends_well() -> None:
    async with conversing("Echo") as host:
        talk = await host.open()
        await talk.until("opened")
        await host.shut_down()
        await talk.say("m", "last words")
        await talk.until("turn_complete")
        await talk.close()
        assert (await talk.rest())[-1].HasField("closed")
        assert await host.process.ended() == 0


async def test_sigterm_drains_and_a_second_one_hurries() -> None:
    async with conversing("Endings") as host:
        talk = await host.open()
        await talk.until("opened")
        host.process.process.terminate()
        watch = _watch(host)(HealthCheckRequest(service="plugin"))
        while (await watch.read()).status == SERVING:
            pass
        host.process.process.terminate()
        async with asyncio.timeout(2):
            assert (await talk.failure()).info.reason == "DRAINING"
        assert await host.process.ended() == 0


async def test_sigint_is_the_hosts_business() -> None:
    async with launched("Echo") as host:
        os.killpg(host.pid, signal.SIGINT)
        await host.stub.GetManifest(adapter_pb2.GetManifestRequest())
        assert host.process.process.returncode is None


@pytest.mark.parametrize("adapter", ["Endings", "Blocked"])
async def test_an_adapter_does_not_outlive_its_host(adapter: str) -> None:
    """Also when its event loop is blocked for ever."""
    program = (
        "import subprocess, sys\n"
        "adapter = subprocess.Popen(sys.argv[1:], stdout=-1, text=True, start_new_session=True)\n"
        "print(adapter.pid, adapter.stdout.readline(), flush=True, end='')\n"
        "sys.stdin.read()\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *command(adapter),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert parent.stdout
    assert parent.stderr
    pid, line = (await parent.stdout.readline()).decode().split(" ", 1)
    async with grpc.aio.insecure_channel(f"unix:{line.split('|')[3]}") as channel:
        host = Host(None, line, channel)  # type: ignore[arg-type]
        await host.connect()
        talk = await host.open()
        await talk.say("m", "hang")
        async with asyncio.timeout(SECONDS):
            if adapter == "Blocked":
                while b"blocking" not in await parent.stderr.readline():
                    pass
            else:
                await talk.until("receipt")
    with Gone(int(pid)) as gone:
        parent.kill()
        await parent.wait()
        await gone.wait()
    await parent.stderr.read()


async def _reflect(host: Host, version: str, **what: str) -> ServerReflectionResponse:
    call = host.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )()
    await call.write(ServerReflectionRequest(**what))  # type: ignore[arg-type]
    answer = await call.read()
    assert isinstance(answer, ServerReflectionResponse)
    return answer


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_services_and_finds_files(version: str) -> None:
    async with launched("Echo") as host:
        listed = await _reflect(host, version, list_services="")
        converse = "mimic.adapter.v1.AdapterService.Converse"
        by_symbol = await _reflect(host, version, file_containing_symbol=converse)
        by_name = await _reflect(host, version, file_by_filename="grpc/health/v1/health.proto")
        unknown = await _reflect(host, version, file_containing_symbol="no.such.Thing")
    services = {service.name for service in listed.list_services_response.service}
    assert services >= {"plugin.GRPCStdio", "mimic.adapter.v1.AdapterService", "grpc.health.v1.Health"}
    files = [
        FileDescriptorProto.FromString(file)
        for file in by_symbol.file_descriptor_response.file_descriptor_proto
    ]
    assert files[0].name == "mimic/adapter/v1/adapter.proto"
    assert "google/protobuf/struct.proto" in {file.name for file in files}
    assert by_name.file_descriptor_response.file_descriptor_proto
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_stdio_carries_what_is_printed() -> None:
    async with conversing("Noisy") as host:
        call = grpc_stdio_pb2_grpc.GRPCStdioStub(host.channel).StreamStdio(empty_pb2.Empty())
        printed = b""
        async with asyncio.timeout(SECONDS):
            talk = await host.open()
            await talk.until("opened")
            while b"from a child" not in printed:
                piece = await call.read()
                assert isinstance(piece, grpc_stdio_pb2.StdioData)
                assert piece.channel == grpc_stdio_pb2.StdioData.STDOUT
                printed += piece.data


async def test_the_broker_is_there_and_says_nothing() -> None:
    async with launched("Echo") as host:
        call = grpc_broker_pb2_grpc.GRPCBrokerStub(host.channel).StartStream()
        await call.write(grpc_broker_pb2.ConnInfo(service_id=1))
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
