"""The settings of a connection: everything that a preset sets, a person may set by hand.

Templates are Jinja2 in a sandbox, paths are JSONPath that begins with `$`; an empty one means none.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MAX_TEXT_CHARS = 100_000
"""Longest text of one message."""


Preset = Literal[
    "plain",
    "openai-chat",
    "openai-responses",
    "a2a",
    "a2a-0.3",
    "rasa",
    "langgraph",
    "ag-ui",
    "vercel-ai",
    "bot-framework",
]
"""Shapes whose settings are known; each has a file in `presets`."""
Role = Literal["agent", "persona", "typing", "end"]
"""What a node of an answer is: a message of the agent; one of the persona, echoed, so that all before it is
of earlier turns; a sign that the agent is typing, or that it ends the conversation."""
Method = Literal["POST", "PUT", "PATCH", "GET"]
Header = Annotated[str, Field(max_length=8192)]
HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
"""What RFC 9110 calls a token."""
HeaderName = Annotated[str, Field(pattern=HEADER_NAME, max_length=256)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]


class _Settings(BaseModel):
    # Built at first use: the process is to be ready before anyone asks for the schema.
    model_config = ConfigDict(extra="forbid", defer_build=True)


class Reply(_Settings):
    """Where an answer has what the agent says.

    The paths `messages`, `ended` and `error` start at the answer, the others at a message or a part of it.
    """

    messages: str = Field("$", description="Path to the nodes that are messages, in order, in an answer.")
    text: str = Field(
        "$.reply",
        description=(
            "Path to a message's text. Several matches are joined by `join`; a single match that is a list "
            "of texts is a message for each."
        ),
    )
    join: str = Field("", description="What stands between the matches of `text`.")
    markup: Literal["", "markdown", "html"] = Field("", description="How texts are marked up. Empty: plain.")
    id: str = Field("", description="Path to a message's id. Empty: the adapter makes ids.")
    in_reply_to: str = Field(
        "", description="Path to the id of the persona's message that is answered, as it was sent."
    )
    role: str = Field("", description="Path to what a node is; see `roles`. Empty: all are messages.")
    roles: dict[str, Role] = Field(
        default_factory=dict, description="What a value at `role` means. Nodes of other values are left out."
    )
    choices: str = Field("", description="Path to the choices that a message offers.")
    choice_id: str = Field("$.id", description="Path to a choice's id, from the choice.")
    choice_title: str = Field("$.title", description="Path to a choice's title, from the choice.")
    choice_kind: Literal["button", "quick_reply", "list"] = Field(
        "button", description="How choices are shown."
    )
    links: str = Field(
        "", description="Path to choices that only open an address, which stands at `choice_id`."
    )
    media: str = Field("", description="Path to a message's files.")
    media_uri: str = Field("$.url", description="Path to a file's address, from the file.")
    media_type: str = Field("", description="Path to a file's MIME type, from the file.")
    media_name: str = Field("", description="Path to a file's name, from the file.")
    media_kind: Literal["", "image", "audio", "video", "document"] = Field(
        "", description="What files are. Empty: judged by their MIME type."
    )
    cards: str = Field("", description="Path to components that have no kind of their own; kept as JSON.")
    card_text: str = Field("", description="Path to what a person reads on a card, from the card.")
    card_type: str = Field("", description="Path to a card's type, from the card.")
    ended: str = Field(
        "",
        description="Path in the answer; a match other than false, null, 0 or empty ends the conversation.",
    )
    error: str = Field(
        "", description="Path in the answer to an error of the agent's; a match other than null is a fault."
    )


class StreamEvent(_Settings):
    """What an event of a stream means. Paths start at the event's data."""

    delta: str = Field("", description="Path to text that goes on with a message.")
    key: str = Field(
        "", description="Path to which message `delta` goes on with; another key, another message."
    )
    whole: str = Field(
        "",
        description=(
            "Path to whole messages, read by `reply`. One with the id of deltas before it takes their place."
        ),
    )
    closes: bool = Field(default=False, description="The message under way is whole with this event.")
    done: str = Field("", description="Path whose true match ends the answer; `$` always does.")
    error: str = Field("", description="Path to an error of the agent's; a match other than null is a fault.")
    ended: str = Field("", description="Path whose true match ends the conversation.")


class Stream(_Settings):
    """How to read an answer that comes in events: server-sent ones, or lines of JSON."""

    kind: str = Field(
        "",
        description="Path to an event's kind. Empty, or where it finds none: the server-sent event's name.",
    )
    events: dict[str, StreamEvent] = Field(
        default_factory=dict, description="What events mean, by kind; `*` is any other. Others are left out."
    )
    done_data: str = Field(
        "",
        description=(
            "Data, not JSON, that ends the answer, such as `[DONE]`. Where it or any event's `done` is set, "
            "an answer that ends without is cut off: a fault."
        ),
    )


class Setup(_Settings):
    """A request that begins each conversation, before the first message."""

    method: Method = Field("POST", description="Its method.")
    path: str = Field("", description="Template of its path, below `url`.")
    body: str = Field("", description="Template of its body. Empty: none.")
    remember: dict[Name, str] = Field(
        default_factory=dict,
        description="Names under `saved` and the paths of their values in the answer; kept until the end.",
    )


class Poll(_Settings):
    """How to fetch an answer that is not ready at once: while it is 202, or while `pending` matches."""

    pending: str = Field("", description="Path whose true match says that the answer is not ready.")
    method: Method = Field("GET", description="Method of the next look.")
    path: str = Field("", description="Template of its path, below `url`. Empty: the Location header.")
    body: str = Field("", description="Template of its body. Empty: none.")
    interval_seconds: float = Field(
        0.5, gt=0, le=60, description="Pause between looks, where no Retry-After says another."
    )


class Callback(_Settings):
    """How answers come by requests of the agent's to `callback_url`, served by the adapter."""

    listen: str = Field("127.0.0.1:0", description="Address to listen on; port 0 takes a free one.")
    public_url: str = Field(
        "", description="How the agent reaches that address from outside. Empty: http:// and the address."
    )
    conversation: str = Field(
        "", description="Path in the body to the conversation's id, for agents that call one fixed address."
    )
    ends: str = Field(
        "quiet",
        description=(
            "When the agent's turn is over: `answer` (its HTTP answer has come), `quiet` (no callback for "
            "`quiet_seconds`), or a path whose true match marks the last callback."
        ),
    )
    quiet_seconds: float = Field(1.5, gt=0, le=600, description="See `ends`.")
    secret: SecretStr | None = Field(None, description="Key of the signature. None: callbacks are unsigned.")
    signature_header: HeaderName = Field("X-Hub-Signature-256", description="Header with the signature.")
    signature_prefix: str = Field("sha256=", description="What stands before the signature in it.")
    signature_algorithm: Literal["sha1", "sha256", "sha512"] = Field(
        "sha256", description="Hash of the HMAC over the raw body."
    )
    signature_encoding: Literal["hex", "base64"] = Field("hex", description="How the signature is written.")
    delivery_header: HeaderName = Field(
        "X-Delivery-Id", description="Header whose value names a delivery; a repeated one is taken once."
    )


class RestSettings(_Settings):
    """How to reach an agent over HTTP, and how to read its answers."""

    url: str = Field(
        min_length=1, max_length=4096, description="The agent's address, http or https; `path` is below it."
    )
    preset: Preset = Field("plain", description="Shape that the agent speaks: it sets what is not set here.")
    stream: bool = Field(default=False, description="Ask for a streamed answer, where the preset can.")
    token: SecretStr | None = Field(
        None, description="Bearer token for the Authorization header. None: none."
    )
    variables: dict[Name, str] = Field(
        default_factory=dict, description="Values for templates by name, such as `model`; see the preset's."
    )
    method: Method = Field("POST", description="Method of the request that carries a message.")
    path: str = Field("", description="Template of the path below `url`; values are percent-encoded.")
    query: dict[str, str] = Field(default_factory=dict, description="Templates of query parameters.")
    secret_query: dict[str, SecretStr] = Field(
        default_factory=dict, description="Query parameters that are secret, as they are."
    )
    headers: dict[str, Header] = Field(
        default_factory=dict, description="Templates of headers; values are made safe for a header."
    )
    secret_headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers that are secret, as they are."
    )
    body: str = Field(
        "", max_length=262_144, description="Template of the body; values are inserted as JSON. Empty: none."
    )
    content_type: str = Field(
        "application/json",
        description="Type of the body. Values are inserted as it needs: JSON, form or text.",
    )
    message_id_header: HeaderName | Literal[""] = Field(
        "Mimic-Message-Id",
        description="Header with the message's id, for agents that deduplicate. Empty: none.",
    )
    cookies: bool = Field(
        default=False, description="Keep the cookies that the agent sets, for each conversation its own."
    )
    remember: dict[Name, str] = Field(
        default_factory=dict,
        description="Names under `saved` and the paths of their values, read anew from each answer.",
    )
    setup: Setup | None = Field(None, description="Request that begins each conversation. None: none.")
    format: Literal["auto", "json", "sse", "ndjson", "text"] = Field(
        "auto", description="How answers come. auto: by their content type, JSON where that says no more."
    )
    reply: Reply = Field(default_factory=Reply, description="How answers are read.")
    streaming: Stream = Field(default_factory=Stream, description="How streamed answers are read.")
    poll: Poll | None = Field(None, description="How late answers are fetched. None: they are not.")
    callback: Callback | None = Field(None, description="How answers come by callback. None: they do not.")
    join_messages: bool = Field(
        default=False, description="Send the messages of one turn as one request, a line for each."
    )
    timeout_seconds: float = Field(
        120, gt=0, le=3600, description="Longest silence of the agent's after a request left."
    )
    connect_timeout_seconds: float = Field(10, gt=0, le=300, description="Longest wait for a connection.")
    retry_after_seconds: float = Field(
        0,
        ge=0,
        le=3600,
        description="Longest Retry-After of a 429 or 503 that is waited for, once a message. 0: none is.",
    )
    max_response_bytes: int = Field(
        4 * 1024 * 1024, gt=0, le=256 * 1024 * 1024, description="Largest answer, streamed or not."
    )
    max_event_bytes: int = Field(
        1024 * 1024, gt=0, le=64 * 1024 * 1024, description="Largest event or line of a stream."
    )
    max_connections: int = Field(0, ge=0, description="Most open connections. 0: no limit.")
    keepalive_seconds: float = Field(
        4,
        ge=0,
        le=3600,
        description=(
            "How long an idle connection is kept. Less than the agent's own time, which is mostly 5 s or "
            "more, so that no request meets a connection that is being closed. 0: each request has its own."
        ),
    )
    verify_tls: bool = Field(default=True, description="Check the agent's certificate.")
    ca_file: str = Field("", description="PEM file of further authorities to trust. Empty: the system's.")
    health_path: str = Field(
        "", description="Path below `url` that answers 2xx when all is well. Empty: any answer will do."
    )
