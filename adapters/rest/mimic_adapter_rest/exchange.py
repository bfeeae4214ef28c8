"""One request of a conversation and its answer, which may have to be asked for again."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from mimic_plugin_sdk import Fault, FaultError, FaultSource, RawDirection
from yarl import URL

from mimic_adapter_rest import faults
from mimic_adapter_rest.answers import Ear, Outcome, Taker, retry_after
from mimic_adapter_rest.link import Link, NotSentError, Request
from mimic_adapter_rest.profile import PollForm, Profile
from mimic_adapter_rest.replies import AnswerError
from mimic_adapter_rest.templates import TemplateFaultError

_LEAST_PAUSE_SECONDS = 0.02
_BUSY = frozenset({429, 503})


class Exchange:
    """One request and its answer."""

    def __init__(self, link: Link, profile: Profile, ear: Ear, values: Mapping[str, Any]) -> None:
        """Make one; `run` does it.

        Args:
            link: The HTTP client.
            profile: How to read the answer.
            ear: Who listens.
            values: Values for the templates of further requests.
        """
        self._link = link
        self._profile = profile
        self._ear = ear
        self._values = values

    async def run(self, request: Request) -> bool:
        """Send a request and take its answer.

        Args:
            request: The request.

        Returns:
            Whether the agent ended the conversation.

        Raises:
            link.NotSentError: It did not leave as a whole.
            FaultError: It left, and its answer is missing or wrong.
        """
        response, fresh = await self._send(request)
        give_up = time.monotonic() + self._profile.settings.timeout_seconds
        while True:
            taker = Taker(self._link, self._profile, self._ear, request, response, fresh=fresh)
            try:
                outcome = await taker.take()
            finally:
                response.release()
            poll = self._profile.poll
            if outcome is not Outcome.PENDING or poll is None:
                return outcome is Outcome.ENDED
            request, response, fresh = await self._look_again(poll, taker, give_up)

    async def ask(self, request: Request) -> Any:
        """Send a request that carries no message.

        Args:
            request: The request.

        Returns:
            Its answer's data. None: it is not JSON.

        Raises:
            link.NotSentError: It did not leave as a whole.
            FaultError: It is refused, or has no answer.
        """
        response, fresh = await self._send_further(request)
        taker = Taker(self._link, self._profile, self._ear, request, response, fresh=fresh)
        try:
            body = await taker.read()
        finally:
            response.release()
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return None

    async def _send(self, request: Request) -> tuple[aiohttp.ClientResponse, bool]:
        response, fresh = await self._link.send(request, self._ear.left)
        patience = self._profile.settings.retry_after_seconds
        if response.status in _BUSY and patience:
            wait = retry_after(response)
            if wait is not None and wait <= patience:
                response.release()
                await asyncio.sleep(wait)
                return await self._send_again(request)
        return response, fresh

    async def _send_further(self, request: Request) -> tuple[aiohttp.ClientResponse, bool]:
        if self._ear.captures_raw:
            self._ear.raw(RawDirection.TO_AGENT, request.body, request.label)
        return await self._link.send(request)

    async def _send_again(self, request: Request) -> tuple[aiohttp.ClientResponse, bool]:
        """Send something after the message left: what cannot be sent now is not the message."""
        try:
            return await self._send_further(request)
        except NotSentError as error:
            raise FaultError(error.fault) from None

    async def _look_again(
        self, poll: PollForm, taker: Taker, give_up: float
    ) -> tuple[Request, aiohttp.ClientResponse, bool]:
        """Ask again for an answer that was not ready, after a pause."""
        wait = retry_after(taker.response)
        pause = max(poll.interval_seconds if wait is None else wait, _LEAST_PAUSE_SECONDS)
        if time.monotonic() + pause > give_up:
            seconds = self._profile.settings.timeout_seconds
            message = f"{taker.request.label}: the answer was not ready within {seconds:g} s"
            raise FaultError(
                faults.agent("AGENT_TIMEOUT", message, "`timeout_seconds` says how long it may take")
            )
        await asyncio.sleep(pause)
        try:
            request = poll.form.fill(self._values)
        except TemplateFaultError as error:
            message = f"a template of `poll` could not be filled in: {error}"
            raise FaultError(Fault(FaultSource.ADAPTER, "TEMPLATE_FAILED", message)) from None
        if poll.by_location:
            request = Request(request.method, _location(taker), request.headers, request.body)
        return request, *await self._send_again(request)


def _location(taker: Taker) -> URL:
    """Where the answer will be. Once told, it need not be told again."""
    response = taker.response
    location = response.headers.get("Location") or response.headers.get("Operation-Location")
    if location is None:
        if response.method == "GET":
            return response.url
        raise taker.fault(AnswerError("AGENT_NO_LOCATION", "and named no Location to fetch the answer from"))
    url = response.url.join(URL(location))
    if url.origin() != response.url.origin():
        # The credentials are for the agent, not for another server.
        raise taker.fault(
            AnswerError("AGENT_BAD_LOCATION", f"and named a Location elsewhere: {url.origin()}")
        )
    return url
