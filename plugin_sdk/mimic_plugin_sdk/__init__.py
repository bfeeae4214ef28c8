"""Write a Mimic channel adapter in Python.

Subclass `Adapter`, describe it in a `Manifest`, hold conversations in `Adapter.converse`, and pass the
class to `serve`. `examples/echo_adapter` is a whole one.
"""

from mimic_plugin_sdk import _early as _before_all_other_imports  # noqa: F401
from mimic_plugin_sdk._adapter import Adapter
from mimic_plugin_sdk._connection import (
    AgentSetting,
    Connection,
    ConnectionState,
    ConnectionStatus,
)
from mimic_plugin_sdk._conversation import Conversation
from mimic_plugin_sdk._errors import (
    AdapterError,
    CredentialsRefused,
    FaultError,
    SettingsError,
    SettingsViolation,
    Unreachable,
)
from mimic_plugin_sdk._fault import Fault, FaultSource
from mimic_plugin_sdk._items import (
    ClosedBy,
    CloseReason,
    Item,
    PersonaFace,
    PersonaTyping,
    RawDirection,
    Read,
    Resume,
    Send,
)
from mimic_plugin_sdk._manifest import Capabilities, Manifest, Mode
from mimic_plugin_sdk._message import (
    Card,
    Choice,
    ChoiceKind,
    ChoicesOffered,
    ChoiceTaken,
    Dtmf,
    Location,
    Media,
    MediaKind,
    Message,
    Part,
    Reaction,
    Speech,
    Text,
)
from mimic_plugin_sdk._serve import serve
from mimic_plugin_sdk._wire_time import WireTime

__all__ = [
    "Adapter",
    "AdapterError",
    "AgentSetting",
    "Capabilities",
    "Card",
    "Choice",
    "ChoiceKind",
    "ChoiceTaken",
    "ChoicesOffered",
    "CloseReason",
    "ClosedBy",
    "Connection",
    "ConnectionState",
    "ConnectionStatus",
    "Conversation",
    "CredentialsRefused",
    "Dtmf",
    "Fault",
    "FaultError",
    "FaultSource",
    "Item",
    "Location",
    "Manifest",
    "Media",
    "MediaKind",
    "Message",
    "Mode",
    "Part",
    "PersonaFace",
    "PersonaTyping",
    "RawDirection",
    "Reaction",
    "Read",
    "Resume",
    "Send",
    "SettingsError",
    "SettingsViolation",
    "Speech",
    "Text",
    "Unreachable",
    "WireTime",
    "serve",
]
