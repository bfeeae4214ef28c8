"""Whose fault it is when a request fails, in words that help."""

import ssl
from collections.abc import Iterable

import aiohttp
from mimic_plugin_sdk import Fault, FaultSource

_EXCERPT_CHARS = 200
_CLOSED = "the agent's server closes idle connections sooner than `keepalive_seconds`, or it was restarted"


class Excerpts:
    """Cuts texts of the agent's for faults, secrets taken out before the cut."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Make one.

        Args:
            secrets: Texts that are never shown.
        """
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._longest = len(self._secrets[0]) if self._secrets else 0

    def cut(self, text: str) -> str:
        """Return the beginning of a text, in one line.

        Args:
            text: What the agent said.
        """
        text = text[: _EXCERPT_CHARS + self._longest]
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return " ".join(text[:_EXCERPT_CHARS].split())


def channel(reason: str, message: str, remedy: str = "") -> Fault:
    """Make a fault of what lies between persona and agent.

    Args:
        reason: UPPER_SNAKE_CASE reason for programs.
        message: One line for people.
        remedy: What would help.
    """
    return Fault(FaultSource.CHANNEL, reason, message, remedy)


def agent(reason: str, message: str, remedy: str = "") -> Fault:
    """Make a fault of the agent; see `channel`."""
    return Fault(FaultSource.AGENT, reason, message, remedy)


def not_connected(error: Exception, where: str) -> Fault:
    """Judge why there is no connection.

    Args:
        error: What the client raised.
        where: The agent's host and port.
    """
    reason = _one_line(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return channel("HOST_UNKNOWN", f"no address for {where}: {reason}", "check the host in `url`")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        remedy = "name the authority in `ca_file`, or set `verify_tls` to false"
        return channel("TLS_NOT_TRUSTED", f"the certificate of {where} is not trusted: {reason}", remedy)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        remedy = "check whether `url` has to begin with http:// or https://"
        return channel("TLS_FAILED", f"no TLS with {where}: {reason}", remedy)
    if isinstance(error, TimeoutError):
        remedy = (
            "is the agent up, and may this machine reach it? `connect_timeout_seconds` says how long to wait"
        )
        return channel("CONNECT_TIMEOUT", f"no connection to {where} in time", remedy)
    return channel(
        "NOT_CONNECTED", f"no connection to {where}: {reason}", "start the agent, or correct `url`"
    )


def not_sent(error: Exception, label: str) -> Fault:
    """Judge why a request did not leave as a whole.

    Args:
        error: What the client raised.
        label: The request, such as "POST /chat".
    """
    return channel(
        "CONNECTION_LOST", f"the connection broke while {label} was being sent: {_one_line(error)}"
    )


def not_answered(error: Exception, label: str, *, fresh: bool, silence_seconds: float) -> Fault:
    """Judge why a request that left as a whole has no answer, or only a part of one.

    Args:
        error: What the client raised.
        label: The request.
        fresh: The connection was new. On an old one the agent may not have seen the request at all.
        silence_seconds: How long the agent may be silent.
    """
    if isinstance(error, TimeoutError):
        message = f"{label}: the agent was silent for {silence_seconds:g} s"
        return agent("AGENT_TIMEOUT", message, "`timeout_seconds` says how long it may be")
    if isinstance(error, aiohttp.ClientPayloadError):
        return agent("AGENT_ANSWER_CUT", f"{label}: the answer was cut off: {_one_line(error)}")
    if isinstance(error, aiohttp.ClientResponseError):
        return agent("AGENT_NOT_HTTP", f"{label}: the answer is not HTTP: {_one_line(error)}")
    message = f"{label}: the connection was closed without an answer"
    if fresh:
        return agent("AGENT_NO_ANSWER", message)
    return channel("CONNECTION_LOST", message, f"once in a while this happens where {_CLOSED}")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
