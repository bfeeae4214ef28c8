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

from mimic_adapter_websocket.settings import MAX_TEXT_CHARS, WebSocketSettings

# What needs the WebSocket client is imported with the first connection: the process is ready long before.
if TYPE_CHECKING:
    from mimic_adapter_websocket.upstream import Upstream


class WebSocketAdapter(Adapter[WebSocketSettings]):
    """Talks to agents over WebSocket, as a customer's client does."""

    manifest: ClassVar[Manifest] = Manifest(
        name="mimic-adapter-websocket",
        version="0.1.0",
        channel="websocket",
        description="Agents that are served over WebSocket: JSON, plain text, OpenAI Realtime, Socket.IO.",
        modes=(Mode.LIVE,),
        capabilities=Capabilities(
            agent_speaks_first=True,
            typing=True,
            read_receipts=True,
            choices=(ChoiceKind.BUTTON, ChoiceKind.QUICK_REPLY, ChoiceKind.LIST),
            max_text_chars=MAX_TEXT_CHARS,
        ),
        notices=(
            "The end of a turn is told where the agent's frames tell it (`done`); else quiet time ends it.",
            "A conversation survives a broken socket, or this adapter's restart, only where `resume` is set.",
        ),
    )

    def __init__(self) -> None:
        """Begin without connections."""
        self._upstreams: dict[str, Upstream] = {}

    async def connect(self, connection: Connection[WebSocketSettings]) -> Sequence[AgentSetting]:
        from mimic_adapter_websocket.upstream import Upstream  # noqa: PLC0415

        self._upstreams[connection.id] = Upstream(connection)
        return ()

    async def disconnect(self, connection: Connection[WebSocketSettings]) -> None:
        upstream = self._upstreams.pop(connection.id, None)
        if upstream is not None:
            await upstream.close()

    async def check(self, connection: Connection[WebSocketSettings]) -> ConnectionStatus:
        return await self._upstreams[connection.id].check()

    async def converse(self, conversation: Conversation[WebSocketSettings]) -> None:
        await self._upstreams[conversation.connection.id].converse(conversation)
