"""An agent that is connected: its client, its callbacks, and what conversations with it have in common."""

from collections.abc import Sequence

from mimic_plugin_sdk import AgentSetting, Connection, ConnectionStatus, Conversation

from mimic_adapter_rest.callbacks import Callbacks
from mimic_adapter_rest.link import Link
from mimic_adapter_rest.presets import with_preset
from mimic_adapter_rest.probe import probe
from mimic_adapter_rest.profile import compile_profile, secrets_of
from mimic_adapter_rest.settings import RestSettings
from mimic_adapter_rest.talk import Talk


class Upstream:
    """One connection that is up."""

    def __init__(self, connection: Connection[RestSettings]) -> None:
        """Make it; `open` brings it up.

        Args:
            connection: The connection.

        Raises:
            SettingsError: Its settings cannot work.
        """
        settings = with_preset(connection.settings)
        self._profile = compile_profile(settings)
        shape = self._profile.callback
        self._callbacks = Callbacks(shape, settings.max_response_bytes) if shape is not None else None
        self._link = Link(connection, settings, secrets_of(settings))

    async def open(self) -> Sequence[AgentSetting]:
        """Bring it up. Returns what the agent's author has to set.

        Raises:
            SettingsError: Something that the settings name cannot be used.
        """
        if self._callbacks is None:
            return ()
        await self._callbacks.start()
        return (
            AgentSetting(
                name="Callback URL",
                value=self._callbacks.url,
                description="Where the agent posts its answers; a request with callback_url says it too.",
            ),
        )

    async def close(self) -> None:
        """Take it down."""
        if self._callbacks is not None:
            await self._callbacks.stop()
        await self._link.close()

    async def check(self) -> ConnectionStatus:
        """Ask the agent whether it is there."""
        return await probe(self._link, self._profile.health)

    async def converse(self, conversation: Conversation[RestSettings]) -> None:
        """Hold a conversation.

        Args:
            conversation: The host's side.

        Raises:
            FaultError: It cannot go on.
        """
        callbacks = self._callbacks
        talk = Talk(conversation, self._link, self._profile, callbacks.url_of if callbacks else None)
        if callbacks is None:
            await talk.run()
            return
        callbacks.add(talk)
        try:
            await talk.run()
        finally:
            callbacks.remove(talk)
