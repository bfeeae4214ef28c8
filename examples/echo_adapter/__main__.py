"""An adapter for a channel whose agent, in this very process, repeats what it is told."""

from mimic_plugin_sdk import Adapter, Capabilities, Conversation, Manifest, Send, serve
from pydantic import BaseModel, Field


class Settings(BaseModel):
    """What one connection to the agent needs."""

    prefix: str = Field(default="", description="What the agent says before it repeats.")


class EchoAdapter(Adapter[Settings]):
    """Answers each message of the persona with its own text."""

    manifest = Manifest(
        name="mimic-adapter-echo",
        version="1.0.0",
        channel="echo",
        description="An agent that repeats what it is told.",
        capabilities=Capabilities(turn_complete=True),
    )

    async def converse(self, conversation: Conversation[Settings]) -> None:
        """Repeat each message, until the host has said its last."""
        prefix = conversation.connection.settings.prefix
        async for item in conversation:
            if isinstance(item, Send):
                conversation.sent(item.message.id)
                await conversation.reply(prefix + item.message.text, in_reply_to=item.message.id)
                if not item.more:
                    conversation.turn_complete(item.message.id)


if __name__ == "__main__":
    serve(EchoAdapter)
