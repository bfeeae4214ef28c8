"""Asks an agent whether it is there, without beginning a conversation."""

import aiohttp
from mimic_plugin_sdk import ConnectionState, ConnectionStatus, FaultError

from mimic_adapter_rest.forms import HealthForm
from mimic_adapter_rest.link import Link, NotSentError

# What a proxy says when there is nobody behind it.
_NOBODY = frozenset({502, 503, 504})


async def probe(link: Link, form: HealthForm) -> ConnectionStatus:
    """Probe an agent.

    Args:
        link: The HTTP client.
        form: The request to probe with.
    """
    request = form.request
    try:
        response, _ = await link.send(request)
    except NotSentError as error:
        fault = error.fault
        return ConnectionStatus(ConnectionState.FAILED, fault.message, fault.remedy)
    except FaultError as error:
        return ConnectionStatus(ConnectionState.FAILED, error.fault.message, error.fault.remedy)
    try:
        return _judge(response, request.label, strict=form.strict)
    finally:
        response.close()


def _judge(response: aiohttp.ClientResponse, label: str, *, strict: bool) -> ConnectionStatus:
    said = f"{label} answered {response.status} {response.reason or ''}".rstrip()
    if response.status in {401, 403}:
        remedy = "check `token`, `secret_headers` or `secret_query`"
        return ConnectionStatus(ConnectionState.BAD_CREDENTIALS, said, remedy)
    if strict and response.status >= 300:
        return ConnectionStatus(ConnectionState.FAILED, said, "check the agent, or `health_path`")
    if response.status in _NOBODY:
        return ConnectionStatus(ConnectionState.FAILED, said, "start the agent, or correct `url`")
    return ConnectionStatus(ConnectionState.READY)
