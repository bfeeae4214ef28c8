"""Whose fault it is when a socket cannot be opened, or ends, in words that help."""

import ssl
from collections.abc import Iterable, Mapping

import aiohttp
from mimic_plugin_sdk import CredentialsRefused, Fault, FaultError, FaultSource

from mimic_adapter_websocket.settings import Closing

CREDENTIALS_REMEDY = "check `token`, `secret_headers`, `secret_query`, `secret_subprotocols` or `secrets`"
_EXCERPT_CHARS = 200
_UNAUTHORIZED = frozenset({401, 403})

# RFC 6455 section 7.4.1, and the registry that it founded (IANA, "WebSocket Close Code Number Registry"):
# 1001 going away, 1012 service restart, 1013 try again later, 1014 bad gateway, 3000 unauthorized,
# 3003 forbidden, 3008 timeout. 4000 and above are each agent's own; many put HTTP's status after a 4.
CLOSINGS: Mapping[int, Closing] = {
    0: Closing.ENDED,
    1000: Closing.ENDED,
    1001: Closing.LOST,
    1012: Closing.LOST,
    1013: Closing.LOST,
    1014: Closing.LOST,
    3000: Closing.CREDENTIALS,
    3003: Closing.CREDENTIALS,
    3008: Closing.LOST,
    4401: Closing.CREDENTIALS,
    4403: Closing.CREDENTIALS,
}
"""What close codes mean where the settings do not say; any other is a fault of the agent. 0: it told none."""

# What servers close with for a credential that they read after the handshake.
_POLICY_VIOLATION = 1008


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


def not_opened(error: Exception, where: str) -> FaultError:
    """Judge why there is no socket.

    A status of 401 or 403 is about credentials; any other below 500 means that the settings do not fit what
    is there, which is nothing that the agent did in a conversation; 500 and above are the agent's.

    Args:
        error: What the client raised.
        where: The agent's host and port.
    """
    reason = _one_line(error)
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return _refused(error, where)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _not_reached("HOST_UNKNOWN", f"no address for {where}: {reason}", "check the host in `url`")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        remedy = "name the authority in `ca_file`, or set `verify_tls` to false"
        return _not_reached("TLS_NOT_TRUSTED", f"the certificate of {where} is not trusted: {reason}", remedy)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        remedy = "check whether `url` has to begin with ws:// or wss://"
        return _not_reached("TLS_FAILED", f"no TLS with {where}: {reason}", remedy)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        remedy = (
            "is the agent up, and may this machine reach it? `connect_timeout_seconds` says how long to wait"
        )
        return _not_reached("CONNECT_TIMEOUT", f"no connection to {where} in time", remedy)
    if isinstance(error, TimeoutError):
        remedy = "`connect_timeout_seconds` says how long it may take"
        return FaultError(
            agent("AGENT_NO_HANDSHAKE", f"{where} took the connection and did not answer", remedy)
        )
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return FaultError(agent("AGENT_NO_HANDSHAKE", f"{where} closed the connection without an answer"))
    if isinstance(error, aiohttp.ClientResponseError):
        return FaultError(agent("AGENT_NOT_HTTP", f"{where} did not answer in HTTP: {reason}"))
    return _not_reached(
        "NOT_CONNECTED", f"no connection to {where}: {reason}", "start the agent, or correct `url`"
    )


def _refused(error: aiohttp.WSServerHandshakeError, where: str) -> FaultError:
    status = error.status
    said = f"{where} refused the WebSocket handshake with status {status}"
    if status in _UNAUTHORIZED:
        return CredentialsRefused(said, remedy=CREDENTIALS_REMEDY)
    if status == 101:
        return FaultError(agent("AGENT_HANDSHAKE_WRONG", f"{where}: {error.message}"))
    if status >= 500:
        return FaultError(agent("AGENT_HANDSHAKE_STATUS", said))
    if status == 429:
        return FaultError(channel("RATE_LIMITED", said, "run fewer sessions at once"))
    remedy = "check `url`, `path`, `query`, `headers` and `subprotocols`: no WebSocket is served there"
    return FaultError(channel("HANDSHAKE_REFUSED", said, remedy))


def redirected(target: str) -> FaultError:
    """Make the error of a handshake that was answered with a redirect, which is not followed.

    Args:
        target: Where it led, without its query.
    """
    fault = channel("REDIRECTED", f"the handshake was redirected to {target}", "set `url` to that address")
    return FaultError(fault)


def closed(code: int, reason: str, meaning: Closing) -> Fault | None:
    """Judge a socket that the agent closed in a conversation. Returns None where that is no fault.

    Args:
        code: The close code; 0: none was told.
        reason: What the agent said with it, cut.
        meaning: What the code means.
    """
    said = told(code, reason)
    match meaning:
        case Closing.ENDED:
            return None
        case Closing.AGENT:
            return agent("AGENT_CLOSED", said, "`close_codes` says what its codes mean")
        case Closing.CREDENTIALS:
            return channel("CREDENTIALS_REFUSED", said, CREDENTIALS_REMEDY)
        case _:
            return channel("AGENT_WENT_AWAY", said, "`resume` says how a conversation goes on after that")


def closed_in_hello(code: int, reason: str, meaning: Closing) -> FaultError:
    """Judge a socket that the agent closed before the conversation began.

    Args:
        code: The close code; 0: none was told.
        reason: What the agent said with it, cut.
        meaning: What the code means.
    """
    said = f"{told(code, reason)} before the conversation began"
    if meaning is Closing.CREDENTIALS or code == _POLICY_VIOLATION:
        return CredentialsRefused(said, remedy=CREDENTIALS_REMEDY)
    if meaning is Closing.AGENT:
        return FaultError(agent("AGENT_CLOSED", said))
    return FaultError(channel("HELLO_REFUSED", said, "check `hello` and the credentials"))


def told(code: int, reason: str) -> str:
    """Say how the agent closed the socket.

    Args:
        code: The close code; 0: none was told.
        reason: What the agent said with it, cut.
    """
    how = f"with {code}" if code else "without a code"
    return f"the agent closed the socket {how}{f': {reason}' if reason else ''}"


def of_frame(reason: str, problem: str) -> Fault:
    """Make the fault of a frame that could not be understood.

    Args:
        reason: UPPER_SNAKE_CASE reason for programs.
        problem: What is wrong with it, cut.
    """
    if reason == "TEMPLATE_FAILED":
        return channel(reason, problem, "correct the template in `frames`")
    return agent(reason, problem, "`frames`, `ignore` and `format` say what frames mean")


def _not_reached(reason: str, message: str, remedy: str) -> FaultError:
    return FaultError(channel(reason, message, remedy))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
