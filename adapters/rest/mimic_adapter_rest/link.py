"""The HTTP client of one connection."""

import asyncio
import contextlib
import resource
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import payload
from mimic_plugin_sdk import (
    Connection,
    ConnectionState,
    Fault,
    FaultError,
    SettingsError,
    SettingsViolation,
    WireTime,
)
from multidict import CIMultiDict
from yarl import URL

from mimic_adapter_rest import faults
from mimic_adapter_rest.replies import AnswerError
from mimic_adapter_rest.settings import RestSettings

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_RETRIES = 2
_BACKOFF_SECONDS = 0.1
# What surely fits into the socket's buffer.
_AT_ONCE_BYTES = 16 * 1024
# For the rest of the process: its own socket, pipes, files.
_OTHER_FILES = 64


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is ready to be sent."""

    method: str
    """Its method."""
    url: URL
    """Its address."""
    headers: CIMultiDict[str]
    """Its headers."""
    body: bytes
    """Its body; may be empty."""

    @property
    def label(self) -> str:
        """Its method and path, for people. The query is left out: it may hold secrets."""
        return f"{self.method} {self.url.raw_path}"


class NotSentError(Exception):
    """A request did not leave as a whole: the agent cannot have answered it."""

    def __init__(self, fault: Fault) -> None:
        """Carry a fault.

        Args:
            fault: Why, and whose it is.
        """
        super().__init__(fault.message)
        self.fault = fault


class Body(payload.Payload):
    """A body that knows when it left."""

    def __init__(self, value: bytes, on_left: Callable[[WireTime], None] | None = None) -> None:
        """Make one; each is sent once.

        Args:
            value: The bytes.
            on_left: Called when the last of them left.
        """
        super().__init__(value, content_type="application/octet-stream")
        self._size = len(value)
        self._on_left = on_left
        self.begun = False
        """The request began to leave."""
        self.left = False
        """All of it left."""
        self.fresh = False
        """It left over a new connection."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._value).decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return bytes(self._value)

    async def write(self, writer: "AbstractStreamWriter") -> None:
        if self.begun:
            # aiohttp repeats what it takes for safe; whether a message may be repeated is not its to say.
            raise aiohttp.ClientConnectionError("the request left before, and is not repeated")
        self.begun = True
        # Before the system call: it wakes the agent, which may well answer before this process runs again.
        time = WireTime.now()
        await writer.write(self._value)
        self.has_left(time if len(self._value) <= _AT_ONCE_BYTES else None)

    async def write_with_length(self, writer: "AbstractStreamWriter", content_length: int | None) -> None:
        await self.write(writer)

    def has_left(self, time: WireTime | None = None) -> None:
        """Note that all of it left; the first time is told.

        Args:
            time: When. None: now.
        """
        if not self.left:
            self.left = True
            if self._on_left is not None:
                self._on_left(time or WireTime.now())


class Link:
    """The HTTP client of one connection, shared by its conversations."""

    def __init__(
        self, connection: Connection[RestSettings], settings: RestSettings, secrets: list[str]
    ) -> None:
        """Make it; `close` ends it.

        Args:
            connection: The connection, whose state it tells.
            settings: Its settings, those of the preset included.
            secrets: The settings' secrets.

        Raises:
            SettingsError: The file of authorities cannot be read.
        """
        self.settings = settings
        self.excerpts = faults.Excerpts(secrets)
        self._connection = connection
        url = URL(settings.url)
        self._where = f"{url.host}:{url.port}"
        _allow_files(settings.max_connections)
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_note_fresh)
        self._session = aiohttp.ClientSession(
            connector=_connector(settings),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=settings.connect_timeout_seconds, sock_read=settings.timeout_seconds
            ),
            trace_configs=[tracing],
            max_line_size=65_536,
            max_field_size=65_536,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()

    async def send(
        self, request: Request, on_left: Callable[[WireTime], None] | None = None
    ) -> tuple[aiohttp.ClientResponse, bool]:
        """Send a request, and wait for the head of its answer.

        A connection that is refused at once is tried twice more: nothing has left then.

        Args:
            request: The request.
            on_left: Called when the last byte left, before the answer can come.

        Returns:
            The answer, to be read and released; and whether the connection was new.

        Raises:
            NotSentError: It did not leave as a whole.
            FaultError: It left, and there is no answer.
        """
        tries = 0
        while True:
            body = Body(request.body, on_left)
            try:
                response = await self._session.request(
                    request.method,
                    request.url,
                    data=body,
                    headers=request.headers,
                    skip_auto_headers=() if request.body else ("Content-Type",),
                    allow_redirects=False,
                    trace_request_ctx=body,
                )
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                if body.left:
                    raise FaultError(self.lost(error, request, fresh=body.fresh)) from None
                if body.begun:
                    raise NotSentError(faults.not_sent(error, request.label)) from None
                if tries < _RETRIES and isinstance(error, aiohttp.ClientConnectorError):
                    await asyncio.sleep(_BACKOFF_SECONDS * 4**tries)
                    tries += 1
                    continue
                raise NotSentError(self._unreachable(error)) from None
            body.has_left()
            if response.status < 400:
                self._well()
            return response, body.fresh

    async def read(self, response: aiohttp.ClientResponse, request: Request, *, fresh: bool) -> bytes:
        """Read the body of an answer.

        Args:
            response: The answer.
            request: What was asked.
            fresh: The connection was new.

        Raises:
            AnswerError: It is too large.
            FaultError: It was cut off.
        """
        limit = self.settings.max_response_bytes
        length = response.content_length
        try:
            if length is not None and length <= limit and "Content-Encoding" not in response.headers:
                return await response.read()
            pieces = bytearray()
            async for piece in response.content.iter_any():
                pieces += piece
                if len(pieces) > limit:
                    raise too_large(limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FaultError(self.lost(error, request, fresh=fresh)) from None
        return bytes(pieces)

    def lost(self, error: Exception, request: Request, *, fresh: bool) -> Fault:
        """Judge why a request that left has no answer, or only a part of one.

        Args:
            error: What the client raised.
            request: The request.
            fresh: The connection was new.
        """
        return faults.not_answered(
            error, request.label, fresh=fresh, silence_seconds=self.settings.timeout_seconds
        )

    def refused(self, reason: str, remedy: str) -> None:
        """Note that the agent refuses the credentials.

        Args:
            reason: How it did.
            remedy: What would help.
        """
        self._connection.set_state(ConnectionState.BAD_CREDENTIALS, reason, remedy)

    def _well(self) -> None:
        if self._connection.status.state is not ConnectionState.READY:
            self._connection.set_state(ConnectionState.READY)

    def _unreachable(self, error: Exception) -> Fault:
        fault = faults.not_connected(error, self._where)
        self._connection.set_state(ConnectionState.FAILED, fault.message, fault.remedy)
        return fault


def too_large(limit: int) -> AnswerError:
    """Make the error of an answer that is too large.

    Args:
        limit: Most bytes that are read.
    """
    return AnswerError("AGENT_ANSWER_TOO_LARGE", f"with more than {limit} bytes (`max_response_bytes`)")


async def _note_fresh(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
    context.trace_request_ctx.fresh = True


def _connector(settings: RestSettings) -> aiohttp.TCPConnector:
    # aiohttp sends a PUT or GET again by itself when a kept connection breaks.
    single = settings.keepalive_seconds == 0 or settings.method not in {"POST", "PATCH"}
    return aiohttp.TCPConnector(
        limit=settings.max_connections,
        ssl=_tls(settings),
        ttl_dns_cache=60,
        force_close=single,
        keepalive_timeout=None if single else settings.keepalive_seconds,
    )


def _tls(settings: RestSettings) -> ssl.SSLContext | bool:
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


def _allow_files(connections: int) -> None:
    """Raise the limit of open files to what the connections need, as far as this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = connections + _OTHER_FILES if connections else hard
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if wanted == resource.RLIM_INFINITY or wanted > soft:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
