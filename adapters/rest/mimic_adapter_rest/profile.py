"""A connection's settings, checked and compiled: what its conversations work with."""

from dataclasses import dataclass

from mimic_plugin_sdk import ChoiceKind, MediaKind
from pydantic import BaseModel, SecretStr

from mimic_adapter_rest.checking import Checking
from mimic_adapter_rest.forms import (
    Address,
    Headers,
    HealthForm,
    RequestForm,
    body_template,
    path_template,
)
from mimic_adapter_rest.paths import Path
from mimic_adapter_rest.replies import ReplyReader
from mimic_adapter_rest.settings import Callback, Poll, Reply, RestSettings, Setup, Stream
from mimic_adapter_rest.streams import Rule, StreamShape

_MEDIA_KINDS = {"": MediaKind.UNKNOWN} | {kind.value.lower(): kind for kind in MediaKind}


@dataclass(frozen=True, slots=True)
class SetupForm:
    """The request that begins a conversation."""

    form: RequestForm
    remember: dict[str, Path]


@dataclass(frozen=True, slots=True)
class PollForm:
    """How to fetch an answer that is not ready."""

    pending: Path | None
    form: RequestForm
    by_location: bool
    """The Location header says where to look."""
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class CallbackShape:
    """How callbacks are read."""

    settings: Callback
    conversation: Path | None
    last: Path | None
    """Marks the last callback of a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything that a conversation needs to know of its connection."""

    settings: RestSettings
    """The settings, those of the preset included."""
    message: RequestForm
    """The request that carries a message."""
    health: HealthForm
    """The request that asks whether the agent is there."""
    setup: SetupForm | None
    poll: PollForm | None
    callback: CallbackShape | None
    reader: ReplyReader
    stream: StreamShape
    remember: dict[str, Path]
    keeps_history: bool
    """Requests carry the conversation so far."""
    tells_time: bool
    """Requests carry the time."""
    derivable: bool
    """The conversation follows from the session's id alone, so that another process can go on with it."""


def secrets_of(settings: BaseModel) -> list[str]:
    """Return the secrets of some settings.

    Args:
        settings: The settings.
    """
    found: list[str] = []
    for value in dict(settings).values():
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, SecretStr):
                found.append(one.get_secret_value())
            elif isinstance(one, BaseModel):
                found += secrets_of(one)
    return found


def compile_profile(settings: RestSettings) -> Profile:
    """Check and compile settings.

    Args:
        settings: The settings, those of the preset included.

    Raises:
        SettingsError: Templates or paths of them cannot work.
    """
    checking = Checking(settings)
    address = Address(settings, checking)
    headers = Headers(settings, checking)
    message = RequestForm(
        settings.method,
        address,
        path_template("path", settings.path, checking),
        headers,
        body_template("body", settings.body, settings, checking),
    )
    setup = _setup(settings, settings.setup, address, headers, checking) if settings.setup else None
    poll = _poll(settings, settings.poll, address, headers, checking) if settings.poll else None
    remember = _remember("remember", settings.remember, checking)
    callback = _callback(settings.callback, checking) if settings.callback else None
    if callback is None and "callback_url" in message.names:
        checking.note("callback", "is needed, since a template has callback_url")
    names = frozenset[str]().union(*(one.names for one in _forms(message, setup, poll)))
    profile = Profile(
        settings=settings,
        message=message,
        health=HealthForm(settings, address, headers),
        setup=setup,
        poll=poll,
        callback=callback,
        reader=_reader(settings.reply, str(address.base), checking),
        stream=_stream(settings.streaming, checking),
        remember=remember,
        keeps_history="history" in message.names,
        tells_time="now" in names,
        derivable=not (
            remember or settings.cookies or (setup and setup.remember) or "history" in message.names
        ),
    )
    checking.finish()
    return profile


def _forms(message: RequestForm, setup: SetupForm | None, poll: PollForm | None) -> list[RequestForm]:
    return [message, *(further.form for further in (setup, poll) if further is not None)]


def _remember(field: str, paths: dict[str, str], checking: Checking) -> dict[str, Path]:
    return {name: checking.needed_path(f"{field}.{name}", path) for name, path in paths.items()}


def _setup(
    settings: RestSettings, setup: Setup, address: Address, headers: Headers, checking: Checking
) -> SetupForm:
    form = RequestForm(
        setup.method,
        address,
        path_template("setup.path", setup.path, checking),
        headers,
        body_template("setup.body", setup.body, settings, checking),
    )
    return SetupForm(form, _remember("setup.remember", setup.remember, checking))


def _poll(
    settings: RestSettings, poll: Poll, address: Address, headers: Headers, checking: Checking
) -> PollForm:
    form = RequestForm(
        poll.method,
        address,
        path_template("poll.path", poll.path, checking),
        headers,
        body_template("poll.body", poll.body, settings, checking),
    )
    by_location = not poll.path and not poll.body
    return PollForm(checking.path("poll.pending", poll.pending), form, by_location, poll.interval_seconds)


def _callback(callback: Callback, checking: Checking) -> CallbackShape:
    last = None
    if callback.ends.startswith("$"):
        last = checking.path("callback.ends", callback.ends)
    elif callback.ends not in {"answer", "quiet"}:
        checking.note("callback.ends", "is answer, quiet, or a path that begins with $")
    host, _, port = callback.listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        checking.note("callback.listen", "is host:port, such as 127.0.0.1:0")
    if callback.public_url and not callback.public_url.startswith(("http://", "https://")):
        checking.note("callback.public_url", "begins with http:// or https://")
    return CallbackShape(callback, checking.path("callback.conversation", callback.conversation), last)


def _reader(reply: Reply, base: str, checking: Checking) -> ReplyReader:
    def path(name: str) -> Path | None:
        return checking.path(f"reply.{name}", getattr(reply, name))

    def needed(name: str) -> Path:
        return checking.needed_path(f"reply.{name}", getattr(reply, name))

    return ReplyReader(
        base=base,
        messages=needed("messages"),
        text=needed("text"),
        join=reply.join,
        markup=reply.markup,
        id=path("id"),
        in_reply_to=path("in_reply_to"),
        role=path("role"),
        roles=reply.roles,
        choices=path("choices"),
        choice_id=needed("choice_id"),
        choice_title=needed("choice_title"),
        choice_kind=ChoiceKind(reply.choice_kind.upper()),
        links=path("links"),
        media=path("media"),
        media_uri=needed("media_uri"),
        media_type=path("media_type"),
        media_name=path("media_name"),
        media_kind=_MEDIA_KINDS[reply.media_kind],
        cards=path("cards"),
        card_text=path("card_text"),
        card_type=path("card_type"),
        ended=path("ended"),
        error=path("error"),
    )


def _stream(streaming: Stream, checking: Checking) -> StreamShape:
    rules = {}
    for kind, event in streaming.events.items():
        field = f"streaming.events.{kind}"
        rules[kind] = Rule(
            delta=checking.path(f"{field}.delta", event.delta),
            key=checking.path(f"{field}.key", event.key),
            whole=checking.path(f"{field}.whole", event.whole),
            closes=event.closes,
            done=checking.path(f"{field}.done", event.done),
            error=checking.path(f"{field}.error", event.error),
            ended=checking.path(f"{field}.ended", event.ended),
        )
    return StreamShape(
        kind=checking.path("streaming.kind", streaming.kind), rules=rules, done_data=streaming.done_data
    )
