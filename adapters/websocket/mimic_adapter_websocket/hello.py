"""What is said on a new socket before the conversation."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mimic_plugin_sdk import Fault, FaultError, RawDirection, WireTime

from mimic_adapter_websocket import faults
from mimic_adapter_websocket.frames import Meaning, understand
from mimic_adapter_websocket.link import NotWrittenError, Socket, SocketBroken, SocketClosed, SocketLost
from mimic_adapter_websocket.profile import OTHERS, Profile, Step
from mimic_adapter_websocket.replies import written
from mimic_adapter_websocket.settings import Closing
from mimic_adapter_websocket.templates import TemplateFaultError


class Ear(Protocol):
    """Who listens while hello is said."""

    def raw(
        self,
        direction: RawDirection,
        payload: str | bytes,
        time: WireTime | None = None,
        *,
        label: str = "",
        fault: Fault | None = None,
    ) -> None:
        """A frame went over the wire."""

    async def hear(self, socket: Socket, meaning: Meaning, at: WireTime) -> None:
        """A frame came."""


class Greeter:
    """Says hello as a profile wants it."""

    def __init__(self, profile: Profile, excerpts: faults.Excerpts) -> None:
        """Make one.

        Args:
            profile: How the agent speaks.
            excerpts: Cuts what the agent said.
        """
        self._profile = profile
        self._excerpts = excerpts

    async def greet(self, socket: Socket, steps: Sequence[Step], values: Mapping[str, Any], ear: Ear) -> Any:
        """Say hello.

        Args:
            socket: A new socket.
            steps: What is sent and awaited.
            values: Values for templates.
            ear: Who listens.

        Returns:
            The last frame that was awaited. None: none was.

        Raises:
            FaultError: The agent refused, or did not say what was awaited.
        """
        seconds = self._profile.settings.hello_timeout_seconds
        awaited = ""
        found: Any = None
        try:
            async with asyncio.timeout(seconds):
                for step in steps:
                    if step.send is not None:
                        await self._send(socket, step.send.fill(values), ear)
                    if awaited := step.expect:
                        found = await self._await(socket, awaited, values, ear)
        except TimeoutError:
            message = f"the agent did not answer hello with a frame of kind {awaited!r} within {seconds:g} s"
            fault = faults.agent("AGENT_NO_HELLO", message, "`hello` says what is awaited")
            raise FaultError(fault) from None
        except TemplateFaultError as error:
            fault = faults.channel("TEMPLATE_FAILED", f"`hello` could not be filled in: {error}")
            raise FaultError(fault) from None
        except SocketClosed as error:
            meaning = self._profile.closings.get(error.code, Closing.AGENT)
            raise faults.closed_in_hello(error.code, self._excerpts.cut(error.reason), meaning) from None
        except SocketBroken as error:
            raise FaultError(error.fault) from None
        except (SocketLost, NotWrittenError) as error:
            message = f"the connection broke before the conversation began: {error}".rstrip(": ")
            raise FaultError(faults.channel("CONNECTION_LOST", message)) from None
        return found

    async def _send(self, socket: Socket, text: str, ear: Ear) -> None:
        if text.strip():
            await socket.send(text)
            ear.raw(RawDirection.TO_AGENT, text, label="hello")

    async def _await(self, socket: Socket, kind: str, values: Mapping[str, Any], ear: Ear) -> Any:
        while True:
            payload, at = await socket.receive()
            meaning = understand(self._profile, payload, values)
            fault = (
                faults.of_frame(meaning.reason, self._excerpts.cut(meaning.problem))
                if meaning.reason
                else None
            )
            ear.raw(RawDirection.FROM_AGENT, payload, at, label=meaning.kind, fault=fault)
            if fault is not None and self._profile.settings.strict:
                raise FaultError(fault)
            for answer in meaning.answers:
                await self._send(socket, answer, ear)
            self._check(meaning)
            if kind != OTHERS:
                await ear.hear(socket, meaning, at)
            if kind in {meaning.kind, OTHERS} and not meaning.problem:
                return meaning.data

    def _check(self, meaning: Meaning) -> None:
        """Raise FaultError where a frame refuses the conversation."""
        rule = meaning.rule
        if rule is None:
            return
        error = rule.error.telling(meaning.data) if rule.error is not None else None
        if error is None and (rule.ended is None or not rule.ended.holds(meaning.data)):
            return
        said = self._excerpts.cut(written(meaning.data if error is None else error))
        message = f"the agent refused the conversation: {said}"
        raise FaultError(
            faults.channel("HELLO_REFUSED", message, f"check `hello`; {faults.CREDENTIALS_REMEDY}")
        )
