"""Takes the answer to one request: its status, its body or its stream, and what is wrong with it."""

import asyncio
import contextlib
import datetime as dt
import email.utils
import enum
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import aiohttp
from mimic_plugin_sdk import CredentialsRefused, FaultError, RawDirection, WireTime

from mimic_adapter_rest import faults
from mimic_adapter_rest.decoders import Decoder, EventStreamDecoder, LinesDecoder, TooLargeError
from mimic_adapter_rest.link import Link, Request, too_large
from mimic_adapter_rest.paths import DataError
from mimic_adapter_rest.profile import Profile
from mimic_adapter_rest.replies import AnswerError, Said
from mimic_adapter_rest.streams import Assembler, Heard

_STREAMS: Mapping[str, Callable[[int], Decoder]] = {
    "text/event-stream": EventStreamDecoder,
    "application/x-ndjson": LinesDecoder,
    "application/ndjson": LinesDecoder,
    "application/jsonl": LinesDecoder,
    "application/jsonlines": LinesDecoder,
}
_FORCED: Mapping[str, Callable[[int], Decoder]] = {"sse": EventStreamDecoder, "ndjson": LinesDecoder}
_RAW_BYTES = 64 * 1024
_FAULT_BYTES = 64 * 1024
# After the answer's own end mostly nothing comes but the end of the body, and the connection can be kept.
_REST_SECONDS = 0.5


class Outcome(enum.Enum):
    """What an answer is."""

    WHOLE = enum.auto()
    """The whole answer."""
    PENDING = enum.auto()
    """Not ready; it is to be asked for again."""
    ENDED = enum.auto()
    """The whole answer, and the agent's last word."""


class Ear(Protocol):
    """Who listens to what the agent answers."""

    @property
    def captures_raw(self) -> bool:
        """Whether `raw` wants payloads."""
        ...

    def left(self, time: WireTime) -> None:
        """The request left."""

    async def hear(self, heard: Heard) -> None:
        """The agent said something."""

    async def typing(self) -> None:
        """The agent is typing."""

    def note(self, data: Any) -> None:
        """Data came, from which something may have to be remembered."""

    def note_cookies(self, response: aiohttp.ClientResponse) -> None:
        """An answer came, which may set cookies."""

    def whole(self) -> None:
        """The answer is whole, and the conversation goes on."""

    def raw(self, direction: RawDirection, payload: bytes, label: str, time: WireTime | None = None) -> None:
        """A payload went over the wire."""


class Taker:
    """Takes one answer."""

    def __init__(
        self,
        link: Link,
        profile: Profile,
        ear: Ear,
        request: Request,
        response: aiohttp.ClientResponse,
        *,
        fresh: bool,
    ) -> None:
        """Make one, as soon as the head of the answer is there.

        Args:
            link: The HTTP client.
            profile: How to read the answer.
            ear: Who listens.
            request: What was asked.
            response: The answer.
            fresh: It comes over a new connection.
        """
        self._first = WireTime.now()
        self._link = link
        self._profile = profile
        self._ear = ear
        self._fresh = fresh
        self.request = request
        """What was asked."""
        self.response = response
        """The answer."""

    async def take(self) -> Outcome:
        """Take the answer; what it says is told to the ear.

        Raises:
            FaultError: It is missing, or wrong.
        """
        settings = self._profile.settings
        decoder = _FORCED.get(settings.format)
        if settings.format == "auto":
            decoder = _STREAMS.get(self.response.content_type)
        not_ready = self._profile.poll is not None and self.response.status == 202
        try:
            if decoder is None or not_ready or self.response.status >= 300:
                return await self._take_body(await self.read(), not_ready=not_ready)
            return await self._take_stream(decoder(settings.max_event_bytes))
        except AnswerError as error:
            raise self.fault(error) from None
        except DataError as error:
            raise self.fault(AnswerError("AGENT_NOT_JSON", str(error))) from None

    async def read(self) -> bytes:
        """Read the whole body of an answer that is a success.

        Raises:
            FaultError: It is none, or was cut off.
        """
        self._ear.note_cookies(self.response)
        if self.response.status >= 300:
            await self._refuse()
        try:
            body = await self._link.read(self.response, self.request, fresh=self._fresh)
        except AnswerError as error:
            raise self.fault(error) from None
        self._raw(body)
        return body

    def fault(self, error: AnswerError) -> FaultError:
        """Make the fault of an answer that is wrong.

        Args:
            error: What is wrong.
        """
        shown = self._link.excerpts.cut(error.shown)
        message = self._answered(self._link.excerpts.cut(error.message))
        return FaultError(faults.agent(error.reason, f"{message}: {shown}" if shown else message))

    async def _take_body(self, body: bytes, *, not_ready: bool) -> Outcome:
        profile = self._profile
        last = WireTime.now()
        if profile.settings.format == "text":
            return await self._tell([Said(self._decoded(body))], last, ended=False)
        # What only takes a message may say so as it likes.
        only_taken = profile.callback is not None or self.response.status == 204
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            if not (not_ready or only_taken):
                kind = f"{self.response.content_type}, which is not JSON" if body else "nothing"
                raise AnswerError("AGENT_NOT_JSON", f"with {kind}", self._decoded(body)) from None
        else:
            self._ear.note(data)
            pending = profile.poll.pending if profile.poll is not None else None
            not_ready = not_ready or (pending is not None and pending.holds(data))
            if not (not_ready or only_taken):
                answer = profile.reader.read(data)
                return await self._tell(answer.said, last, ended=answer.ended)
        return Outcome.PENDING if not_ready else await self._tell((), last, ended=False)

    async def _tell(self, said: Iterable[Said], last: WireTime, *, ended: bool) -> Outcome:
        for one in said:
            if one.content:
                await self._ear.hear(Heard(one, self._first, last))
        return self._over(ended=ended)

    def _over(self, *, ended: bool) -> Outcome:
        if ended:
            return Outcome.ENDED
        self._ear.whole()
        return Outcome.WHOLE

    async def _take_stream(self, decoder: Decoder) -> Outcome:
        self._ear.note_cookies(self.response)
        note = self._ear.note if self._profile.remember else None
        assembler = Assembler(self._profile.stream, self._profile.reader, note)
        raw = bytearray()
        try:
            async for chunk, at in self._chunks(raw):
                await self._hear(_events(assembler, decoder.feed(chunk), at))
                if assembler.typing:
                    assembler.typing = False
                    await self._ear.typing()
                if assembler.done:
                    break
            else:
                await self._hear(_events(assembler, decoder.end(), WireTime.now()))
                await self._hear(assembler.end())
        except TooLargeError as error:
            raise AnswerError("AGENT_ANSWER_TOO_LARGE", f"with {error} (`max_event_bytes`)") from None
        finally:
            self._raw(bytes(raw))
        outcome = self._over(ended=assembler.ended)
        await self._read_rest()
        return outcome

    async def _chunks(self, raw: bytearray) -> Any:
        limit = self._profile.settings.max_response_bytes
        size = 0
        try:
            async for chunk in self.response.content.iter_any():
                at = WireTime.now()
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                if self._ear.captures_raw and len(raw) < _RAW_BYTES:
                    raw += chunk
                yield chunk, at
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FaultError(self._link.lost(error, self.request, fresh=self._fresh)) from None

    async def _hear(self, messages: Iterable[Heard]) -> None:
        for heard in messages:
            await self._ear.hear(heard)

    async def _read_rest(self) -> None:
        """Read what comes after an answer's own end, so that the connection can be used again."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(_REST_SECONDS):
                while not self.response.content.at_eof() and await self.response.content.readany():
                    pass

    async def _refuse(self) -> None:
        """Raise what a status tells that is not a success."""
        body = b""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            while len(body) < _FAULT_BYTES and (piece := await self.response.content.readany()):
                body += piece
        self._raw(body)
        status, reason = self.response.status, self.response.reason or ""
        text = self._decoded(body)
        if status in {401, 403}:
            message = f"{self._answered(reason)}: {self._link.excerpts.cut(text)}"
            remedy = "check `token`, `secret_headers` or `secret_query`"
            self._link.refused(message, remedy)
            raise CredentialsRefused(message, remedy=remedy)
        if status < 400:
            where = self.response.headers.get("Location", "nowhere").partition("?")[0]
            message = f"{self._answered(reason)}, to {where}"
            raise FaultError(faults.agent("AGENT_REDIRECTS", message, "set `url` to where it leads"))
        raise self.fault(AnswerError("AGENT_HTTP_STATUS", reason, text))

    def _raw(self, body: bytes) -> None:
        if self._ear.captures_raw:
            self._ear.raw(RawDirection.FROM_AGENT, body, f"{self.request.label} {self.response.status}")

    def _answered(self, what: str) -> str:
        return f"{self.request.label} answered {self.response.status} {what}".rstrip()

    def _decoded(self, body: bytes) -> str:
        try:
            return body.decode(self.response.charset or "utf-8", errors="replace")
        except LookupError:
            return body.decode(errors="replace")


def _events(assembler: Assembler, events: Iterable[Any], at: WireTime) -> Iterator[Heard]:
    for event in events:
        yield from assembler.take(event, at)
        if assembler.done:
            return


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Read how many seconds an answer asks to wait (RFC 9110, section 10.2.3). Returns None if it does not.

    Args:
        response: The answer.
    """
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    return max(0.0, (at - dt.datetime.now(dt.UTC)).total_seconds())
