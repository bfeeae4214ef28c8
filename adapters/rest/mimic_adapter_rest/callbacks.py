"""Serves the address that agents call back, for one connection."""

import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from mimic_plugin_sdk import Fault, RawDirection, SettingsError, SettingsViolation, WireTime

from mimic_adapter_rest import faults
from mimic_adapter_rest.paths import DataError
from mimic_adapter_rest.profile import CallbackShape
from mimic_adapter_rest.replies import AnswerError
from mimic_adapter_rest.settings import Callback
from mimic_adapter_rest.talk import Talk

_logger = logging.getLogger("mimic_adapter_rest")
_REMEMBERED_DELIVERIES = 10_000


class Callbacks:
    """The listener of one connection. A conversation's callbacks go to `/<its id>`, or below that."""

    def __init__(self, shape: CallbackShape, max_bytes: int) -> None:
        """Make it; `start` opens it.

        Args:
            shape: How callbacks are read.
            max_bytes: Largest body that is taken.
        """
        self._shape = shape
        self._max_bytes = max_bytes
        self._talks: dict[str, Talk] = {}
        self._seen: OrderedDict[str, str] = OrderedDict()
        self._runner: web.AppRunner | None = None
        self.url = ""
        """How the agent reaches it, without a slash at the end."""

    async def start(self) -> None:
        """Open it.

        Raises:
            SettingsError: The address cannot be listened on.
        """
        app = web.Application(client_max_size=self._max_bytes)
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, _, port = self._shape.settings.listen.rpartition(":")
        site = web.TCPSite(self._runner, host.strip("[]"), int(port), backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            message = f"cannot be listened on: {error.strerror or error}"
            raise SettingsError([SettingsViolation("callback.listen", message)]) from None
        bound = self._runner.addresses[0][1]
        self.url = (self._shape.settings.public_url or f"http://{host}:{bound}").rstrip("/")

    async def stop(self) -> None:
        """Close it."""
        if self._runner is not None:
            await self._runner.cleanup()

    def url_of(self, conversation_id: str) -> str:
        """Return where a conversation's callbacks go.

        Args:
            conversation_id: The id that the agent knows it by.
        """
        return f"{self.url}/{conversation_id}"

    def add(self, talk: Talk) -> None:
        """Take callbacks for a conversation."""
        self._talks[talk.id] = talk

    def remove(self, talk: Talk) -> None:
        """Take no more callbacks for a conversation."""
        if self._talks.get(talk.id) is talk:
            del self._talks[talk.id]

    async def _take(self, request: web.Request) -> web.Response:
        first = WireTime.now()
        call = _Call(request, await request.read(), first, WireTime.now())
        talk = self._talks.get(call.segments[0]) if call.segments else None
        try:
            self._check(call)
            data = call.data()
            talk = talk or self._named(data)
            message_id = await self._deliver_once(talk, call, data)
        except AnswerError as error:
            refused = _RefusedError(400, error.reason, error.message)
        except DataError as error:
            refused = _RefusedError(400, "AGENT_NOT_JSON", str(error))
        except _RefusedError as error:
            refused = error
        else:
            call.tell(talk, 200)
            return web.json_response({"id": message_id})
        if talk is not None:
            call.tell(talk, refused.status, faults.agent(refused.reason, f"a callback came {refused}"))
        return web.json_response({"error": str(refused)}, status=refused.status)

    def _check(self, call: "_Call") -> None:
        if not signed(self._shape.settings, call.request.headers, call.body):
            _logger.warning("a callback to %s has no good signature, and was left out", call.request.path)
            raise _RefusedError(401, "CALLBACK_NOT_SIGNED", "without a good signature")

    def _named(self, data: Any) -> Talk:
        """Find the conversation that a callback names in its body."""
        path = self._shape.conversation
        talk = self._talks.get(str(path.first(data))) if path is not None else None
        if talk is None:
            raise _RefusedError(404, "CALLBACK_UNKNOWN", "of a conversation that is not there")
        return talk

    async def _deliver_once(self, talk: Talk, call: "_Call", data: Any) -> str:
        """Deliver a callback, unless it came before. Returns the id of what it told."""
        delivery = call.request.headers.get(self._shape.settings.delivery_header, "")
        if delivery and (known := self._seen.get(delivery)) is not None:
            return known
        if delivery:
            self._remember(delivery, "")
        target = call.segments[-1] if call.segments else ""
        if call.request.method == "DELETE":
            await talk.changed(target, None, call.first)
            return target
        if call.request.method == "PUT":
            await talk.changed(target, data, call.first)
            return target
        message_id = await talk.called(data, call.first, call.last)
        if delivery:
            self._remember(delivery, message_id)
        return message_id

    def _remember(self, delivery: str, message_id: str) -> None:
        self._seen[delivery] = message_id
        if len(self._seen) > _REMEMBERED_DELIVERIES:
            self._seen.popitem(last=False)


class _RefusedError(Exception):
    """A callback that is not taken."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class _Call:
    """One callback."""

    def __init__(self, request: web.Request, body: bytes, first: WireTime, last: WireTime) -> None:
        self.request = request
        self.body = body
        self.first = first
        self.last = last
        path = request.raw_path.partition("?")[0]
        self.segments = [unquote(one) for one in path.split("/") if one]

    def data(self) -> Any:
        if not self.body and self.request.method == "DELETE":
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise _RefusedError(400, "AGENT_NOT_JSON", "with a body that is not JSON") from None

    def tell(self, talk: Talk, status: int, fault: Fault | None = None) -> None:
        if talk.captures_raw:
            label = f"{self.request.method} {self.request.path} {status}"
            talk.raw(RawDirection.FROM_AGENT, self.body, label, self.last, fault=fault)


def signed(settings: Callback, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a callback is signed as it has to be.

    Args:
        settings: How it has to be.
        headers: The callback's headers.
        body: Its raw body.
    """
    if settings.secret is None:
        return True
    given = headers.get(settings.signature_header, "").strip()
    if not given.startswith(settings.signature_prefix):
        return False
    given = given[len(settings.signature_prefix) :]
    key = settings.secret.get_secret_value().encode()
    wanted = hmac.new(key, body, getattr(hashlib, settings.signature_algorithm)).digest()
    try:
        got = bytes.fromhex(given) if settings.signature_encoding == "hex" else base64.b64decode(given)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(got, wanted)
