"""The start is lean, and says early what an author got wrong."""

import sys
from typing import Any, TypeVar

import pytest
from mimic_plugin_sdk import Adapter, Capabilities, Conversation, Manifest, serve
from pydantic import BaseModel

from tests.plugin_sdk.host import environment, started
from tests.support.processes import ROOT

T = TypeVar("T", bound=BaseModel)

LATER = {
    "argparse",
    "google.protobuf.json_format",
    "json",
    "mimic.launch.grpc_stdio_pb2",
    "mimic_plugin_sdk._cli",
    "mimic_plugin_sdk._reflection",
}
"""What no start needs."""


async def test_what_is_not_needed_to_start_is_not_imported() -> None:
    program = [sys.executable, "-X", "importtime", str(ROOT / "examples" / "echo_adapter" / "__main__.py")]
    async with started(program, environment()) as process:
        assert process.process.stdout
        assert await process.process.stdout.readline()
        process.process.terminate()
        assert await process.ended() == 0
    imported = {line.rpartition("|")[2].strip() for line in process.lines}
    assert "mimic_plugin_sdk._server" in imported
    assert sorted(imported & LATER) == []


async def test_what_an_author_prints_before_his_import_fails_is_logged() -> None:
    program = "import mimic_plugin_sdk; print('on the way'); raise KeyError('no such thing')"
    async with started([sys.executable, "-c", program], environment()) as process:
        assert process.process.stdout
        assert await process.process.stdout.read() == b""
        assert await process.ended() == 1
    assert any('"@message": "on the way"' in line for line in process.lines)
    assert "KeyError: 'no such thing'" in process.lines


def test_an_adapter_without_settings_or_manifest_is_refused() -> None:
    class Nothing(Adapter[Any]):
        async def converse(self, conversation: Conversation[Any]) -> None:
            pass

    class Settings(BaseModel):
        pass

    class NoManifest(Adapter[Settings]):
        async def converse(self, conversation: Conversation[Settings]) -> None:
            pass

    with pytest.raises(TypeError, match="NoManifest has no manifest"):
        serve(NoManifest, [])
    Nothing.manifest = Manifest(name="n", version="1", channel="c", description="d")
    with pytest.raises(TypeError, match="Nothing has no settings_type"):
        serve(Nothing, [])


def test_a_limit_that_could_hold_no_conversation_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Capabilities(max_unacked_events=0)


def test_the_settings_of_an_adapter_are_those_of_its_base_unless_it_says_other() -> None:
    class Settings(BaseModel):
        pass

    class Other(BaseModel):
        pass

    class Base(Adapter[T]):
        async def converse(self, conversation: Conversation[T]) -> None:
            pass

    class First(Base[Settings]):
        pass

    class Second(First):
        pass

    class Third(Base[Other]):
        pass

    assert [one.settings_type for one in (First, Second, Third)] == [Settings, Settings, Other]
