"""The WebSocket client of one connection, and its sockets."""

import asyncio
import contextlib
import resource
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
from mimic_plugin_sdk import (
    Connection,
    ConnectionState,
    CredentialsRefused,
    Fault,
    FaultError,
    SettingsError,
    SettingsViolation,
    WireTime,
)

from mimic_adapter_websocket import faults
from mimic_adapter_websocket.handshakes import Handshake
from mimic_adapter_websocket.profile import Profile
from mimic_adapter_websocket.settings import WebSocketSettings

_CLOSE_SECONDS = 2.0
# What aiohttp says where it knows before it writes that it cannot.
_NOTHING_WRITTEN = "Cannot write to closing transport"


class SocketClosed(Exception):  # noqa: N818 - says what happened
    """The agent closed the socket."""

    def __init__(self, code: int, reason: str) -> None:
        """Say how.

        Args:
            code: The close code; 0: it told none.
            reason: What it said with it.
        """
        super().__init__(faults.told(code, reason))
        self.code = code
        self.reason = reason


class SocketLost(Exception):  # noqa: N818 - says what happened
    """The connection broke, without a word of the agent's; the message says how that was seen."""


class SocketBroken(Exception):  # noqa: N818 - says what happened
    """The agent sent what no WebSocket may, or a frame that is too large."""

    def __init__(self, fault: Fault) -> None:
        """Carry a fault.

        Args:
            fault: What it sent.
        """
        super().__init__(fault.message)
        self.fault = fault


class NotWrittenError(Exception):
    """Nothing of a frame was written, since the socket is closing."""


class Socket:
    """One socket that is open."""

    def __init__(self, opened: aiohttp.ClientWebSocketResponse, settings: WebSocketSettings) -> None:
        """Make one.

        Args:
            opened: The client's.
            settings: The connection's settings.
        """
        self._socket = opened
        self._raw = opened.get_extra_info("socket")
        self._write = opened.send_bytes if settings.binary else None
        self._max_frame_bytes = settings.max_frame_bytes
        self._write_seconds = settings.timeout_seconds
        self.silence_seconds = settings.silence_seconds
        """How long no frame may come before the peer counts as gone. 0: no limit."""

    @property
    def subprotocol(self) -> str:
        """The subprotocol that the agent chose. Empty: none."""
        return self._socket.protocol or ""

    async def receive(self) -> tuple[str | bytes, WireTime]:
        """Wait for the next frame. Returns it with when it came.

        Raises:
            SocketClosed: The agent closed the socket.
            SocketLost: The connection broke.
            SocketBroken: What came is no frame, or too large.
        """
        try:
            message: Any = await self._socket.receive(self.silence_seconds or None)
        except TimeoutError:
            raise SocketLost(f"no frame came for {self.silence_seconds:g} s") from None
        at = WireTime.now()
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                return message.data, at
            case aiohttp.WSMsgType.CLOSE:
                raise SocketClosed(message.data or 0, message.extra or "")
            case aiohttp.WSMsgType.ERROR if isinstance(message.data, aiohttp.WebSocketError):
                raise SocketBroken(self._broken(message.data))
            case aiohttp.WSMsgType.ERROR:
                raise SocketLost(str(message.data) or type(message.data).__name__)
            case _:
                raise SocketLost("no close frame came")

    def _broken(self, error: aiohttp.WebSocketError) -> Fault:
        if error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            message = f"a frame has more than {self._max_frame_bytes} bytes (`max_frame_bytes`)"
            return faults.agent("AGENT_FRAME_TOO_LARGE", message)
        return faults.agent("AGENT_NOT_WEBSOCKET", f"what came is no WebSocket frame: {error}")

    async def send(self, text: str) -> None:
        """Write a frame.

        Args:
            text: What it holds.

        Raises:
            NotWrittenError: Nothing of it was written.
            SocketLost: It is not known how much of it was written.
        """
        try:
            async with asyncio.timeout(self._write_seconds):
                if self._write is not None:
                    await self._write(text.encode())
                else:
                    await self._socket.send_str(text)
        except TimeoutError:
            raise SocketLost(f"the agent did not read for {self._write_seconds:g} s") from None
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            if str(error) == _NOTHING_WRITTEN:
                raise NotWrittenError from None
            raise SocketLost(f"the connection broke while a frame was being written: {error}") from None

    async def close(self) -> None:
        """Close it, and wait for the agent to do so too, for a while; whoever receives gets SocketLost."""
        try:
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                await self._socket.close()
        except (aiohttp.ClientError, OSError):
            pass  # a timeout included: what follows needs nobody's help
        finally:
            self.drop()

    def drop(self) -> None:
        """Let it go at once. What the agent has not read yet would keep it open for ever."""
        if self._raw is not None:
            with contextlib.suppress(OSError):
                self._raw.shutdown(socket.SHUT_RDWR)


class Link:
    """The WebSocket client of one connection, shared by its conversations."""

    def __init__(
        self, connection: Connection[WebSocketSettings], profile: Profile, secrets: list[str]
    ) -> None:
        """Make it.

        Args:
            connection: The connection, whose state it tells.
            profile: Its settings, compiled.
            secrets: The settings' secrets.

        Raises:
            SettingsError: The file of authorities cannot be read.
        """
        self.excerpts = faults.Excerpts(secrets)
        self._connection = connection
        self._settings = settings = profile.settings
        self._where = profile.handshake.where
        _allow_files()
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_stop_at_redirect)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(settings), ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=settings.connect_timeout_seconds,
                sock_read=settings.connect_timeout_seconds,
            ),
            trace_configs=[tracing],
        )

    async def close(self) -> None:
        """Close all of its sockets."""
        await self._session.close()

    async def open(self, handshake: Handshake) -> Socket:
        """Open a socket.

        Args:
            handshake: How.

        Raises:
            FaultError: There is none; CredentialsRefused where that is why.
        """
        settings = self._settings
        try:
            # The client counts the time for connecting and for each piece of the answer, not for all pieces.
            async with asyncio.timeout(2 * settings.connect_timeout_seconds):
                opened = await self._session.ws_connect(
                    handshake.url,
                    headers=handshake.headers,
                    protocols=handshake.subprotocols,
                    heartbeat=settings.heartbeat_seconds or None,
                    max_msg_size=settings.max_frame_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                )
        except FaultError as error:
            raise self.failed(error) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self.failed(faults.not_opened(error, self._where)) from None
        return Socket(opened, settings)

    def well(self) -> None:
        """Note that the agent takes conversations."""
        if self._connection.status.state is not ConnectionState.READY:
            self._connection.set_state(ConnectionState.READY)

    def failed(self, error: FaultError) -> FaultError:
        """Note that the agent takes no conversation. Returns the error.

        Args:
            error: Why.
        """
        refused = isinstance(error, CredentialsRefused)
        state = ConnectionState.BAD_CREDENTIALS if refused else ConnectionState.FAILED
        self._connection.set_state(state, error.fault.message, error.fault.remedy)
        return error


async def _stop_at_redirect(
    _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> None:
    # Followed, it would take the credentials along.
    target = params.response.headers.get("Location", "").partition("?")[0]
    params.response.close()
    raise faults.redirected(target[:200])


def _tls(settings: WebSocketSettings) -> ssl.SSLContext | bool:
    if not settings.verify_tls:
        return False
    if not settings.ca_file:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError([SettingsViolation("ca_file", f"cannot be read: {error}")]) from None
    return context


def _allow_files() -> None:
    """Raise the limit of open files as far as this process may: each conversation holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (hard, resource.RLIM_INFINITY):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
