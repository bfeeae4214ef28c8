"""How the host launches adapters, and how long it waits for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tls:
    """How an attached adapter is known, and how the host shows who it is."""

    root_certificates: bytes | None = None
    """PEM. None: the system's."""
    certificate_chain: bytes | None = None
    """The host's own certificate, PEM, for mutual TLS. None: it shows none."""
    private_key: bytes | None = field(default=None, repr=False)
    """The key of `certificate_chain`, PEM."""
    server_name: str = ""
    """Name that the adapter's certificate must bear. Empty: the address's host."""


@dataclass(frozen=True, slots=True)
class Attached:
    """An adapter that somebody else runs."""

    address: str
    """host:port."""
    tls: Tls | None = None
    """None: plaintext, which only a loopback address may have."""
    allow_plaintext: bool = False
    """True: plaintext to another machine too; whoever is between reads the connections' secrets."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How an adapter's process is started."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables besides the host's minimal set. `PLUGIN_*` among them are left out."""
    memory_limit_bytes: int | None = None
    """Most address space of the process (RLIMIT_AS). None: no limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the host waits, and how much it bears."""

    start_seconds: float = 60
    """From the process's start to the manifest."""
    call_seconds: float = 60
    """For Connect, CheckConnection, Disconnect and GetMedia."""
    open_seconds: float = 60
    """From Open to Opened."""
    close_seconds: float = 5
    """From Close to the end of the conversation."""
    ack_seconds: float = 0.1
    """Longest that an acknowledgement waits for company."""

    ping_every_seconds: float = 30
    ping_answer_seconds: float = 10
    """For an answer to a health check. The second one missed in a row counts as a crash."""
    crashes: int = 3
    """This many failures inside `crash_window_seconds`, and the adapter is left alone."""
    crash_window_seconds: float = 3600
    backoff_seconds: float = 1
    """Before the first restart; doubles with each further one, give or take a half."""
    backoff_most_seconds: float = 30

    shutdown_seconds: float = 5
    """From the Shutdown RPC to SIGTERM."""
    terminate_seconds: float = 2
    """From SIGTERM to SIGKILL."""

    message_bytes: int = 64 * 1024 * 1024
    """Largest frame, either way; also the largest file."""
    buffered_events: int = 1000
    """Events that a conversation holds before the host stops reading it."""
    buffered_bytes: int = 4 * 1024 * 1024
    """Bytes of frames that a conversation holds before the host stops reading it."""
    events_per_second: int = 1000
    """Events of one conversation that are read in the long run; the same number may come at once."""
    log_lines_per_second: int = 500
    """Log lines of one adapter that are kept in the long run; four times as many may come at once."""
    log_ring_lines: int = 1000
    """Log lines of one adapter that are remembered, and that a slow follower may be behind."""
