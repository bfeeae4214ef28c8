"""The settings of a connection: everything that a preset sets, a person may set by hand.

Templates are Jinja2 in a sandbox, paths are JSONPath that begins with `$`; an empty one means none. Where a
setting means the same as one of the REST adapter's, it has the same name.
"""

import enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MAX_TEXT_CHARS = 100_000
"""Longest text of one message, in code points."""


class Preset(enum.Enum):
    """Shapes whose settings are known."""

    JSON = "json"
    TEXT = "text"
    OPENAI_REALTIME = "openai-realtime"
    SOCKET_IO = "socket-io"
    RASA_SOCKET_IO = "rasa-socket-io"


class Role(enum.Enum):
    """What a message is, by the value at `reply.role`."""

    AGENT = "agent"
    """A message of the agent."""
    PERSONA = "persona"
    """A message of the persona, echoed."""


class Closing(enum.Enum):
    """What it means when the agent closes the socket with some code."""

    ENDED = "ended"
    """The agent ends the conversation; no fault."""
    AGENT = "agent"
    """A fault of the agent."""
    CHANNEL = "channel"
    """A fault of what lies between."""
    CREDENTIALS = "credentials"
    """The credentials are refused."""
    LOST = "lost"
    """As if the connection broke: resumed where `resume` is set, else a fault of what lies between."""


Header = Annotated[str, Field(max_length=8192)]
HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=256)]
CloseCode = Annotated[str, Field(pattern=r"^[1-4][0-9]{3}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
Template = Annotated[str, Field(max_length=262_144)]


class _Settings(BaseModel):
    # Built at first use: the process is to be ready before anyone asks for the schema.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class Hello(_Settings):
    """One step before the conversation: a frame that is sent, one that is awaited, or both."""

    send: Template = Field("", description="Template of a frame. Empty, or filled in as empty: none is sent.")
    expect: str = Field(
        "", description="Kind of the frame that has to come; `*` is any. Empty: nothing is awaited."
    )


class Frame(_Settings):
    """What a frame means. Paths start at the frame; where one only has to match, `$` always does."""

    whole: str = Field("", description="Path to the whole messages in it, in order, read by `reply`.")
    delta: str = Field("", description="Path to text that goes on with a message.")
    key: str = Field("", description="Path to which message `delta` or `closes` is of; it becomes its id.")
    closes: bool = Field(
        default=False, description="The message that the deltas made is whole with this frame."
    )
    done: str = Field("", description="Path whose true match says that the agent's turn is over.")
    typing: str = Field("", description="Path whose true match says that the agent is typing, or still busy.")
    ended: str = Field("", description="Path whose true match says that the agent ends the conversation.")
    error: str = Field(
        "",
        description="Path to an error of the agent's; a match other than null, false and empty is a fault.",
    )
    ack: str = Field(
        "", description="Path to the `message_id` or `number` of a message that reached the agent."
    )
    deleted: str = Field("", description="Path to the id of a message that the agent takes back.")
    answer: Template = Field(
        "", description="Template of a frame that answers it at once, such as a pong. `frame` is the frame."
    )
    remember: dict[Name, str] = Field(
        default_factory=dict, description="Names under `saved` for templates, and the paths of their values."
    )
    silence_ms: str = Field(
        "", description="Path to milliseconds, summed: silence longer than that means that the peer is gone."
    )


class Reply(_Settings):
    """Where a whole message has what the agent says. Paths start at the message."""

    text: str = Field(
        "$.text",
        description=(
            "Path to its text. Several matches are joined by `join`; one match that is a list of texts is a "
            "message for each."
        ),
    )
    join: str = Field("", description="What stands between the matches of `text`.")
    markup: Literal["", "markdown", "html"] = Field("", description="How texts are marked up. Empty: plain.")
    id: str = Field(
        "",
        description=(
            "Path to its id. Empty: the adapter makes ids. An id that comes again is the same message again, "
            "or an edit where it says something else."
        ),
    )
    in_reply_to: str = Field(
        "", description="Path to the `message_id` of the persona's message that is answered."
    )
    replaces: str = Field("", description="Path to the id of an earlier message that this one replaces.")
    role: str = Field("", description="Path to what it is; see `roles`. Empty: all are the agent's.")
    roles: dict[str, Role] = Field(
        default_factory=dict, description="What a value at `role` means. Others are left out."
    )
    choices: str = Field("", description="Path to the choices that it offers.")
    choice_id: str = Field("$.id", description="Path to a choice's id, from the choice.")
    choice_title: str = Field("$.title", description="Path to a choice's title, from the choice.")
    choice_kind: Literal["button", "quick_reply", "list"] = Field(
        "button", description="How choices are shown."
    )
    links: str = Field(
        "", description="Path to choices that only open an address, which stands at `choice_id`."
    )
    media: str = Field("", description="Path to its files.")
    media_uri: str = Field("$.url", description="Path to a file's address, from the file.")
    media_type: str = Field("", description="Path to a file's MIME type, from the file.")
    media_name: str = Field("", description="Path to a file's name, from the file.")
    media_kind: Literal["", "image", "audio", "video", "document"] = Field(
        "", description="What files are. Empty: judged by their MIME type."
    )
    cards: str = Field("", description="Path to components that have no kind of their own; kept as JSON.")
    card_text: str = Field("", description="Path to what a person reads on a card, from the card.")
    card_type: str = Field("", description="Path to a card's type, from the card.")


class Ping(_Settings):
    """A frame that is sent again and again, where the protocol has pings of its own."""

    send: Template = Field(min_length=1, description="Template of the frame.")
    interval_seconds: float = Field(30, ge=0.05, le=3600, description="Time between two.")


class Resume(_Settings):
    """How a conversation goes on over another socket, after its own broke."""

    query: dict[str, str] = Field(
        default_factory=dict, description="Templates of query parameters, beside or over those of `query`."
    )
    hello: list[Hello] | None = Field(None, description="Steps in the place of `hello`. None: the same ones.")
    last_id: str = Field(
        "", description="Path to what becomes `last_id` for templates, in each frame where it matches."
    )
    resumed: str = Field(
        "",
        description=(
            "Path in the last frame that `hello` awaits; only a true match means that it is the same "
            "conversation."
        ),
    )
    within_seconds: float = Field(20, gt=0, le=600, description="How long it is tried.")
    backoff_seconds: float = Field(
        0.25,
        gt=0,
        le=60,
        description="Pause before the second try; doubled before each further one, up to 5 s.",
    )


class WebSocketSettings(_Settings):
    """How to reach an agent over WebSocket, and what its frames mean."""

    url: str = Field(
        min_length=1, max_length=4096, description="The agent's address, ws or wss; `path` is below it."
    )
    preset: Preset = Field(
        Preset.JSON, description="Shape that the agent speaks: it sets what is not set here."
    )
    token: SecretStr | None = Field(
        None, description="Bearer token for the Authorization header. None: none."
    )
    variables: dict[Name, str] = Field(
        default_factory=dict, description="Values for templates by name, such as `model`; see the preset's."
    )
    secrets: dict[Name, SecretStr] = Field(
        default_factory=dict, description="Secret values for templates, by name under `secrets`."
    )
    path: str = Field("", description="Template of the path below `url`; values are percent-encoded.")
    query: dict[str, str] = Field(default_factory=dict, description="Templates of query parameters.")
    secret_query: dict[str, SecretStr] = Field(
        default_factory=dict, description="Query parameters that are secret, as they are."
    )
    headers: dict[HeaderName, Header] = Field(
        default_factory=dict, description="Templates of headers; values are made safe for a header."
    )
    secret_headers: dict[HeaderName, SecretStr] = Field(
        default_factory=dict, description="Headers that are secret, as they are."
    )
    subprotocols: list[HeaderName] = Field(
        default_factory=list, description="Subprotocols to offer, the best first."
    )
    secret_subprotocols: list[SecretStr] = Field(
        default_factory=list, description="Further ones that are secret, for agents that take keys there."
    )
    format: Literal["json", "text", "socket-io"] = Field(
        "json", description="What frames are. In `json` and `socket-io`, templates insert values as JSON."
    )
    binary: bool = Field(
        default=False, description="Frames are binary ones that hold UTF-8; such are read beside text ones."
    )
    hello: list[Hello] = Field(default_factory=list, description="Steps before the conversation, in order.")
    send: list[Template] = Field(
        default_factory=list,
        description="Templates of the frames that carry a message; what is filled in as empty is not sent.",
    )
    typing: Template = Field("", description="Template of a frame: the persona is typing. Empty: none.")
    read: Template = Field(
        "", description="Template of a frame: the persona has read up to `read_id`. Empty: none."
    )
    bye: Template = Field("", description="Template of the last frame of a conversation. Empty: none.")
    kind: str = Field("", description="Path to a frame's kind. Empty: all are of one kind.")
    frames: dict[str, Frame] = Field(
        default_factory=dict, description="What frames mean, by kind; `*` is any other kind, and no kind."
    )
    ignore: list[str] = Field(default_factory=list, description="Kinds of frames that mean nothing.")
    reply: Reply = Field(default_factory=Reply, description="How whole messages are read.")
    done_for: Literal["message", "turn"] = Field(
        "message",
        description="Whether `done` comes for each message of the persona, or once for all of a turn.",
    )
    one_at_a_time: bool = Field(
        default=False, description="Send nothing before the agent's turn is over, as `done` tells."
    )
    join_messages: bool = Field(
        default=False, description="Send the messages of one turn as one, a line for each."
    )
    strict: bool = Field(
        default=False,
        description=(
            "A frame that cannot be read, or of an unknown kind, is a fault that ends the conversation. "
            "Otherwise it is noted in the log and the raw payloads, and the conversation goes on."
        ),
    )
    close_codes: dict[CloseCode, Closing] = Field(
        default_factory=dict, description="What it means when the agent closes with a code, by the code."
    )
    resume: Resume | None = Field(
        None, description="How a conversation goes on after its socket broke. None: it does not."
    )
    greeting_seconds: float = Field(
        0, ge=0, le=15, description="Longest wait for an agent that speaks first. 0: the persona may begin."
    )
    ping: Ping | None = Field(None, description="Pings of the protocol's own. None: none.")
    heartbeat_seconds: float = Field(
        60,
        ge=0,
        le=3600,
        description="Quiet time before a WebSocket ping; no pong in half of it: the peer is gone. 0: none.",
    )
    silence_seconds: float = Field(
        0, ge=0, le=3600, description="Time without any frame after which the peer is gone. 0: no limit."
    )
    timeout_seconds: float = Field(
        20,
        gt=0,
        le=3600,
        description=(
            "Longest wait for the agent's turn to be over, or for it to read what is sent. Less than the "
            "host's for an answer (30 s), or the host takes it for this adapter's fault."
        ),
    )
    # A host waits 60 s for a conversation to open: connecting, the handshake, hello and the greeting.
    connect_timeout_seconds: float = Field(
        10, gt=0, le=15, description="Longest wait for a connection, and again for its handshake."
    )
    hello_timeout_seconds: float = Field(10, gt=0, le=15, description="Longest that `hello` may take.")
    max_frame_bytes: int = Field(
        1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Largest frame of the agent's."
    )
    max_message_bytes: int = Field(
        4 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024, description="Largest text that deltas may add up to."
    )
    verify_tls: bool = Field(default=True, description="Check the agent's certificate.")
    ca_file: str = Field("", description="PEM file of further authorities to trust. Empty: the system's.")
