"""The adapter: which connections there are, and what a conversation over one needs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mimic_plugin_sdk import (
    Adapter,
    AgentSetting,
    Capabilities,
    ChoiceKind,
    Connection,
    ConnectionStatus,
    Conversation,
    Manifest,
    Mode,
)

from mimic_adapter_rest.settings import MAX_TEXT_CHARS, RestSettings

# What needs the HTTP client is imported with the first connection: the process is ready long before.
if TYPE_CHECKING:
    from mimic_adapter_rest.upstream import Upstream


class RestAdapter(Adapter[RestSettings]):
    """Talks to agents over HTTP, as a customer's client does."""

    manifest: ClassVar[Manifest] = Manifest(
        name="mimic-adapter-rest",
        version="0.1.0",
        channel="rest",
        description="Agents that are served over HTTP: plain JSON, OpenAI, A2A, Rasa, LangGraph and others.",
        modes=(Mode.LIVE,),
        capabilities=Capabilities(
            turn_complete=True,
            choices=(ChoiceKind.BUTTON, ChoiceKind.QUICK_REPLY, ChoiceKind.LIST),
            max_text_chars=MAX_TEXT_CHARS,
        ),
        notices=(
            "A conversation survives a restart of this adapter only where its id follows from the session's.",
        ),
    )

    def __init__(self) -> None:
        """Begin without connections."""
        self._upstreams: dict[str, Upstream] = {}

    async def connect(self, connection: Connection[RestSettings]) -> Sequence[AgentSetting]:
        from mimic_adapter_rest.upstream import Upstream  # noqa: PLC0415

        upstream = Upstream(connection)
        self._upstreams[connection.id] = upstream
        return await upstream.open()

    async def disconnect(self, connection: Connection[RestSettings]) -> None:
        upstream = self._upstreams.pop(connection.id, None)
        if upstream is not None:
            await upstream.close()

    async def check(self, connection: Connection[RestSettings]) -> ConnectionStatus:
        return await self._upstreams[connection.id].check()

    async def converse(self, conversation: Conversation[RestSettings]) -> None:
        await self._upstreams[conversation.connection.id].converse(conversation)
