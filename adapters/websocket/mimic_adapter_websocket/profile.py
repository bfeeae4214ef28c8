"""A connection's settings, checked and compiled: what its conversations work with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimic_plugin_sdk import ChoiceKind, MediaKind
from pydantic import BaseModel, SecretStr

from mimic_adapter_websocket.checking import Checking
from mimic_adapter_websocket.drafts import Rule
from mimic_adapter_websocket.faults import CLOSINGS
from mimic_adapter_websocket.formats import FORMATS, Format
from mimic_adapter_websocket.handshakes import HandshakeForm
from mimic_adapter_websocket.paths import Path
from mimic_adapter_websocket.replies import ReplyReader
from mimic_adapter_websocket.settings import Closing, Frame, Hello, Reply, Resume, WebSocketSettings
from mimic_adapter_websocket.templates import Filled

_MEDIA_KINDS = {"": MediaKind.UNKNOWN} | {kind.value.lower(): kind for kind in MediaKind}
OTHERS = "*"
"""Stands for every kind that is not named."""
_OF_THIS_PROCESS = frozenset({"saved", "last_id"})
"""Values that a new process does not know again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the hello."""

    send: Filled | None
    expect: str
    """The kind of the frame that has to come. Empty: none."""


@dataclass(frozen=True, slots=True)
class Again:
    """How a conversation goes on over another socket."""

    hello: Sequence[Step]
    last_id: Path | None
    resumed: Path | None
    settings: Resume
    derivable: bool
    """Another process can do it too: it takes nothing but what follows from the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything that a conversation needs to know of its connection."""

    settings: WebSocketSettings
    """The settings, those of the preset included."""
    handshake: HandshakeForm
    read: Format
    hello: Sequence[Step]
    send: Sequence[Filled]
    typing: Filled | None
    mark_read: Filled | None
    bye: Filled | None
    ping: Filled | None
    kind: Path | None
    rules: Mapping[str, Rule | None]
    """What frames mean, by kind; `OTHERS` is any other. None: nothing."""
    reader: ReplyReader
    tells_done: bool
    """Some frame says that a turn is over."""
    closings: Mapping[int, Closing]
    again: Again | None


def secrets_of(settings: BaseModel) -> list[str]:
    """Return the secrets of some settings.

    Args:
        settings: The settings.
    """
    found: list[str] = []
    for value in dict(settings).values():
        several = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,)
        )
        found += [one.get_secret_value() for one in several if isinstance(one, SecretStr)]
    return found


def compile_profile(settings: WebSocketSettings) -> Profile:
    """Check and compile settings.

    Args:
        settings: The settings, those of the preset included.

    Raises:
        SettingsError: Something of them cannot work.
    """
    checking = Checking(settings)
    rules: dict[str, Rule | None] = dict.fromkeys(settings.ignore)
    for kind, frame in settings.frames.items():
        rules[kind] = _rule(f"frames.{kind}", frame, checking)
    if OTHERS not in rules:
        steps = [*settings.hello, *((settings.resume and settings.resume.hello) or ())]
        rules |= {step.expect: None for step in steps if step.expect not in {*rules, OTHERS, ""}}
    profile = Profile(
        settings=settings,
        handshake=HandshakeForm(settings, checking),
        read=FORMATS[settings.format],
        hello=_steps("hello", settings.hello, checking),
        send=[
            template
            for index, source in enumerate(settings.send)
            if (template := checking.frame(f"send.{index}", source)) is not None
        ],
        typing=checking.frame("typing", settings.typing),
        mark_read=checking.frame("read", settings.read),
        bye=checking.frame("bye", settings.bye),
        ping=checking.frame("ping.send", settings.ping.send) if settings.ping else None,
        kind=checking.path("kind", settings.kind),
        rules=rules,
        reader=_reader(settings.reply, checking),
        tells_done=any(rule is not None and rule.done is not None for rule in rules.values()),
        closings={**CLOSINGS} | {int(code): meaning for code, meaning in settings.close_codes.items()},
        again=_again(settings, settings.resume, checking) if settings.resume else None,
    )
    _check_together(profile, checking)
    checking.finish()
    return profile


def _check_together(profile: Profile, checking: Checking) -> None:
    settings = profile.settings
    if not settings.send:
        checking.note("send", "needs at least one template")
    if not settings.kind and (named := [kind for kind in settings.frames if kind != OTHERS]):
        checking.note("kind", f"is needed, since `frames` tells {named[0]!r} apart")
    if not any(rule is not None and rule.says for rule in profile.rules.values()):
        checking.note("frames", "no frame has `whole` or `delta`: the agent could say nothing")
    known = [rule for rule in profile.rules.values() if rule is not None]
    ends = any(rule.closes or rule.done is not None or rule.whole is not None for rule in known)
    if not ends and any(rule.delta is not None for rule in known):
        checking.note(
            "frames", "no frame has `closes`, `done` or `whole`: a message of deltas would never end"
        )
    if settings.one_at_a_time and not profile.tells_done:
        checking.note("one_at_a_time", "needs a frame with `done`")
    again = profile.again
    if again is not None and again.resumed is not None and not any(step.expect for step in again.hello):
        checking.note("resume.resumed", "needs a step of `hello` with `expect`")


def _steps(field: str, steps: Sequence[Hello], checking: Checking) -> Sequence[Step]:
    for index, step in enumerate(steps):
        if not step.send and not step.expect:
            checking.note(f"{field}.{index}", "needs `send` or `expect`")
    return [
        Step(checking.frame(f"{field}.{index}.send", step.send), step.expect)
        for index, step in enumerate(steps)
    ]


def _again(settings: WebSocketSettings, resume: Resume, checking: Checking) -> Again:
    own = resume.hello is not None
    steps = _steps("resume.hello" if own else "hello", resume.hello or settings.hello, checking)
    return Again(
        hello=steps,
        last_id=checking.path("resume.last_id", resume.last_id),
        resumed=checking.path("resume.resumed", resume.resumed),
        settings=resume,
        derivable=not checking.names & _OF_THIS_PROCESS,
    )


def _rule(field: str, frame: Frame, checking: Checking) -> Rule:
    def path(name: str) -> Path | None:
        return checking.path(f"{field}.{name}", getattr(frame, name))

    said = bool(frame.whole or frame.delta or frame.closes)
    other = (frame.done, frame.typing, frame.ended, frame.error, frame.ack, frame.deleted, frame.silence_ms)
    return Rule(
        whole=path("whole"),
        delta=path("delta"),
        key=path("key"),
        closes=frame.closes,
        done=path("done"),
        typing=path("typing"),
        ended=path("ended"),
        error=path("error"),
        ack=path("ack"),
        deleted=path("deleted"),
        answer=checking.frame(f"{field}.answer", frame.answer),
        remember={
            name: checking.needed_path(f"{field}.remember.{name}", source)
            for name, source in frame.remember.items()
        },
        silence_ms=path("silence_ms"),
        says=said,
        means_nothing=not (said or any(other) or frame.remember),
    )


def _reader(reply: Reply, checking: Checking) -> ReplyReader:
    def path(name: str) -> Path | None:
        return checking.path(f"reply.{name}", getattr(reply, name))

    def needed(name: str) -> Path:
        return checking.needed_path(f"reply.{name}", getattr(reply, name))

    return ReplyReader(
        text=needed("text"),
        join=reply.join,
        markup=reply.markup,
        id=path("id"),
        in_reply_to=path("in_reply_to"),
        replaces=path("replaces"),
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
    )
