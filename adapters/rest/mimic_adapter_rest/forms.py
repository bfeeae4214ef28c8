"""Requests, filled in from templates."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from mimic_adapter_rest.checking import Checking
from mimic_adapter_rest.link import Request
from mimic_adapter_rest.settings import HEADER_NAME, RestSettings
from mimic_adapter_rest.templates import (
    HEADER,
    JSON,
    PATH,
    PLAIN,
    Filled,
    TemplateFaultError,
    for_content_type,
    for_header,
)

_OWN_HEADERS = {"content-length", "transfer-encoding", "connection", "host"}
_KEPT_ADDRESSES = 16
_CONTROL = frozenset(map(chr, range(0x20))) | {"\x7f"}


class RequestForm:
    """One kind of request: how its address, headers and body are made."""

    def __init__(
        self,
        method: str,
        address: "Address",
        path: Filled | None,
        headers: "Headers",
        body: Filled | None,
    ) -> None:
        """Make one of parts that were checked.

        Args:
            method: Its method.
            address: Where it goes.
            path: Template of the path below that. None: none.
            headers: Its headers.
            body: Template of its body. None: none.
        """
        self._method = method
        self._address = address
        self._path = path
        self._headers = headers
        self._body = body

    @property
    def names(self) -> frozenset[str]:
        """The names of values that it asks for."""
        parts = [self._path, self._body, *self._address.templates, *self._headers.templates]
        return frozenset[str]().union(*(part.names for part in parts if part is not None))

    def fill(self, values: Mapping[str, Any]) -> Request:
        """Make a request.

        Args:
            values: A value for each name that templates may use.

        Raises:
            TemplateFaultError: A template cannot be filled in.
        """
        path = self._path.fill(values) if self._path is not None else ""
        body = self._body.fill(values).encode(errors="replace") if self._body is not None else b""
        return Request(
            self._method, self._address.below(path, values), self._headers.fill(values, body=bool(body)), body
        )


class Address:
    """The agent's address, with the parameters of its query."""

    def __init__(self, settings: RestSettings, checking: Checking) -> None:
        """Check it.

        Args:
            settings: The connection's settings.
            checking: Where faults are noted.
        """
        self.base = _checked_url(settings.url, checking)
        self._templates = {
            name: checking.template(f"query.{name}", source, PLAIN) for name, source in settings.query.items()
        }
        fixed = [
            f"{quote_plus(k)}={quote_plus(v.get_secret_value())}" for k, v in settings.secret_query.items()
        ]
        self._fixed = "&".join(filter(None, [self.base.raw_query_string, *fixed]))
        self._constant: dict[str, URL] = {}

    @property
    def templates(self) -> Iterator[Filled]:
        """The templates of the query."""
        return (template for template in self._templates.values() if template is not None)

    @property
    def is_dynamic(self) -> bool:
        """Whether its query has templates."""
        return bool(self._templates)

    def below(self, path: str, values: Mapping[str, Any]) -> URL:
        """Return the address of a request.

        Args:
            path: The path below the agent's address, escaped; may bring a query of its own.
            values: Values for the query's templates.

        Raises:
            TemplateFaultError: A template cannot be filled in.
        """
        if not self._templates and (url := self._constant.get(path)) is not None:
            return url
        path_below, _, own = path.partition("?")
        query = "&".join(
            filter(
                None,
                [
                    self._fixed,
                    own,
                    *(
                        f"{quote_plus(k)}={quote_plus(t.fill(values))}"
                        for k, t in self._templates.items()
                        if t
                    ),
                ],
            )
        )
        base = self.base.raw_path
        if path_below and not base.endswith(path_below):
            base = f"{base.rstrip('/')}/{path_below.lstrip('/')}"
        url = URL(f"{self.base.origin()}{base}{'?' if query else ''}{query}", encoded=True)
        if not self._templates and len(self._constant) < _KEPT_ADDRESSES:
            self._constant[path] = url
        return url


class Headers:
    """The headers of a connection's requests."""

    def __init__(self, settings: RestSettings, checking: Checking) -> None:
        """Check them.

        Args:
            settings: The connection's settings.
            checking: Where faults are noted.
        """
        self._dynamic: list[tuple[str, Filled]] = []
        fixed: CIMultiDict[str] = CIMultiDict({"User-Agent": "Mimic"})
        for name, source in settings.headers.items():
            template = checking.template(f"headers.{name}", source, HEADER)
            if template is not None and template.constant is not None:
                fixed[name] = template.constant
            elif template is not None:
                self._dynamic.append((name, template))
        if settings.token is not None:
            fixed["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        for name, secret in settings.secret_headers.items():
            fixed[name] = secret.get_secret_value()
        self._id_header = settings.message_id_header
        self._fixed = CIMultiDictProxy(fixed)
        self._with_body = fixed.copy()
        self._with_body.setdefault("Content-Type", settings.content_type)
        self._check(settings, checking)

    @staticmethod
    def _check(settings: RestSettings, checking: Checking) -> None:
        values = {
            "content_type": settings.content_type,
            "token": settings.token.get_secret_value() if settings.token is not None else "",
            **{f"headers.{name}": source for name, source in settings.headers.items()},
            **{f"secret_headers.{name}": s.get_secret_value() for name, s in settings.secret_headers.items()},
        }
        for field, value in values.items():
            _, dot, name = field.partition(".")
            if dot and not re.fullmatch(HEADER_NAME, name):
                checking.note(field, "is no name of a header")
            if name.lower() in _OWN_HEADERS:
                checking.note(field, "is set by the adapter itself")
            if set(value) & _CONTROL:
                checking.note(field, "has a control character, such as the end of a line")

    @property
    def templates(self) -> Iterator[Filled]:
        """The templates of headers."""
        return (template for _, template in self._dynamic)

    @property
    def constant(self) -> CIMultiDict[str]:
        """Those headers that every request has, without a body."""
        return self._fixed.copy()

    def fill(self, values: Mapping[str, Any], *, body: bool) -> CIMultiDict[str]:
        """Return the headers of a request.

        Args:
            values: Values for the templates.
            body: It has a body.

        Raises:
            TemplateFaultError: A template cannot be filled in.
        """
        headers = (self._with_body if body else self._fixed).copy()
        for name, template in self._dynamic:
            if value := template.fill(values):
                headers[name] = value
        if self._id_header and (message_id := values["message_id"]):
            headers[self._id_header] = for_header(message_id)
        return headers


class HealthForm:
    """The request that asks whether the agent is there."""

    def __init__(self, settings: RestSettings, address: Address, headers: Headers) -> None:
        """Make it.

        Args:
            settings: The connection's settings.
            address: The agent's address.
            headers: Its headers; those with values of a conversation are left out.
        """
        self.strict = bool(settings.health_path)
        """Whether the answer has to be 2xx."""
        method = "GET" if self.strict else "OPTIONS"
        url = address.base if address.is_dynamic else address.below(settings.health_path, {})
        self.request = Request(method, url, headers.constant, b"")
        """The request."""


def body_template(field: str, source: str, settings: RestSettings, checking: Checking) -> Filled | None:
    """Check the template of a body, and try it with made-up values.

    Args:
        field: The setting that it is.
        source: The template. Empty: none.
        settings: The connection's settings.
        checking: Where faults are noted.
    """
    if not source:
        return None
    environment = for_content_type(settings.content_type)
    template = checking.template(field, source, environment)
    if template is None or environment is not JSON:
        return template
    for values in checking.samples:
        text = ""
        try:
            text = template.fill(values)
            json.loads(text)
        except TemplateFaultError as error:
            checking.note(field, f"cannot be filled in: {error}")
        except ValueError as error:
            at = getattr(error, "pos", 0)
            near = text[max(0, at - 30) : at + 10]
            checking.note(field, f"gives no JSON with made-up values: {error}, near {near!r}")
        else:
            continue
        return None
    return template


def path_template(field: str, source: str, checking: Checking) -> Filled | None:
    """Check the template of a path, and try it with made-up values.

    Args:
        field: The setting that it is.
        source: The template. Empty: none.
        checking: Where faults are noted.
    """
    template = checking.template(field, source, PATH) if source else None
    if template is not None:
        try:
            for values in checking.samples:
                template.fill(values)
        except TemplateFaultError as error:
            checking.note(field, f"cannot be filled in: {error}")
    return template


def _checked_url(source: str, checking: Checking) -> URL:
    try:
        url = URL(source)
        known = url.scheme in {"http", "https"} and url.host and url.port
    except ValueError as error:
        checking.note("url", f"is no address: {error}")
        return URL("http://invalid")
    if not known or not url.host:
        checking.note("url", "begins with http:// or https:// and a host, such as http://127.0.0.1:8700/chat")
        return URL("http://invalid")
    if url.user is not None or url.password is not None:
        checking.note("url", "holds no credentials: set `token` or `secret_headers`")
    return url
