"""What a socket is opened with: address, headers, subprotocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from multidict import CIMultiDict
from yarl import URL

from mimic_adapter_websocket.checking import Checking
from mimic_adapter_websocket.settings import WebSocketSettings
from mimic_adapter_websocket.templates import HEADER, PATH, PLAIN, Filled

_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
_CONTROL = frozenset(map(chr, range(0x20))) | {"\x7f"}
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OWN_HEADERS = {
    "connection",
    "content-length",
    "host",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
}


@dataclass(frozen=True, slots=True)
class Handshake:
    """One handshake, ready to be made."""

    url: URL
    """Where to."""
    headers: CIMultiDict[str]
    """With which headers."""
    subprotocols: Sequence[str]
    """Which subprotocols are offered."""

    @property
    def text(self) -> str:
        """What of it is not the same in every handshake, for people."""
        fields = [f"{name}: {value}" for name, value in self.headers.items()]
        if self.subprotocols:
            fields.append(f"Sec-WebSocket-Protocol: {', '.join(self.subprotocols)}")
        return "\n".join([f"GET {self.url.raw_path_qs}", *fields])


class HandshakeForm:
    """How handshakes are made, of settings that were checked."""

    def __init__(self, settings: WebSocketSettings, checking: Checking) -> None:
        """Check the settings.

        Args:
            settings: The connection's settings.
            checking: Where faults are noted.
        """
        self._base = _checked_url(settings.url, checking)
        self._path = checking.template("path", settings.path, PATH) if settings.path else None
        self._query = _templates("query", settings.query, checking)
        self._query_again = self._query
        if settings.resume is not None:
            self._query_again = {
                **self._query,
                **_templates("resume.query", settings.resume.query, checking),
            }
        fixed = [
            f"{quote_plus(k)}={quote_plus(v.get_secret_value())}" for k, v in settings.secret_query.items()
        ]
        self._fixed_query = [part for part in (self._base.raw_query_string, *fixed) if part]
        self._fixed_headers, self._headers = _headers(settings, checking)
        self._subprotocols = (*settings.subprotocols, *_secret_subprotocols(settings, checking))

    @property
    def where(self) -> str:
        """The agent's host and port."""
        return f"{self._base.host}:{self._base.port}"

    def fill(self, values: Mapping[str, Any], *, again: bool) -> Handshake:
        """Make a handshake.

        Args:
            values: A value for each name that templates may use.
            again: It goes on with a conversation.

        Raises:
            templates.TemplateFaultError: A template cannot be filled in.
        """
        path, _, own = (self._path.fill(values) if self._path is not None else "").partition("?")
        templates = self._query_again if again else self._query
        filled = [f"{quote_plus(name)}={quote_plus(one.fill(values))}" for name, one in templates.items()]
        query = "&".join([*self._fixed_query, *([own] if own else []), *filled])
        base = self._base.raw_path
        if path and not base.endswith(path):
            base = f"{base.rstrip('/')}/{path.lstrip('/')}"
        url = URL(f"{self._base.origin()}{base}{'?' if query else ''}{query}", encoded=True)
        headers = self._fixed_headers.copy()
        for name, template in self._headers.items():
            if value := template.fill(values):
                headers[name] = value
        return Handshake(url, headers, self._subprotocols)


def _templates(field: str, sources: Mapping[str, str], checking: Checking) -> dict[str, Filled]:
    filled = {name: checking.template(f"{field}.{name}", text, PLAIN) for name, text in sources.items()}
    return {name: template for name, template in filled.items() if template is not None}


def _headers(settings: WebSocketSettings, checking: Checking) -> tuple[CIMultiDict[str], dict[str, Filled]]:
    fixed: CIMultiDict[str] = CIMultiDict({"User-Agent": "Mimic"})
    dynamic: dict[str, Filled] = {}
    for name, source in settings.headers.items():
        field = f"headers.{name}"
        _check_header(field, name, source, checking)
        template = checking.template(field, source, HEADER)
        if template is not None and template.constant is not None:
            fixed[name] = template.constant
        elif template is not None:
            dynamic[name] = template
    if settings.token is not None:
        fixed["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        _check_header("token", "", fixed["Authorization"], checking)
    for name, secret in settings.secret_headers.items():
        fixed[name] = secret.get_secret_value()
        _check_header(f"secret_headers.{name}", name, fixed[name], checking)
    return fixed, dynamic


def _check_header(field: str, name: str, value: str, checking: Checking) -> None:
    if name.lower() in _OWN_HEADERS:
        checking.note(field, "is set by the adapter itself")
    if set(value) & _CONTROL:
        checking.note(field, "has a control character, such as the end of a line")


def _secret_subprotocols(settings: WebSocketSettings, checking: Checking) -> list[str]:
    found = [secret.get_secret_value() for secret in settings.secret_subprotocols]
    for index, name in enumerate(found):
        if not name or set(name) - _TOKEN:
            checking.note(f"secret_subprotocols.{index}", "has a character that no subprotocol may have")
    return found


def _checked_url(source: str, checking: Checking) -> URL:
    try:
        url = URL(source)
        good = url.scheme in _SCHEMES and url.host and url.port
    except ValueError as error:
        checking.note("url", f"is no address: {error}")
        return URL("http://invalid")
    if not good:
        checking.note("url", "begins with ws:// or wss:// and a host, such as ws://127.0.0.1:8700/ws")
        return URL("http://invalid")
    if url.user is not None or url.password is not None:
        checking.note("url", "holds no credentials: set `token` or `secret_headers`")
    if url.raw_fragment:
        checking.note("url", "has a fragment (#), which no WebSocket address has")
    port = url.port
    return url.with_scheme(_SCHEMES[url.scheme]).with_port(port)
