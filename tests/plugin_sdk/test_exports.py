"""The public surface: a name that comes or goes is a decision."""

import mimic_plugin_sdk


def test_the_public_names_are_these() -> None:
    assert mimic_plugin_sdk.__all__ == [
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


def test_each_public_name_is_there_and_explained() -> None:
    for name in mimic_plugin_sdk.__all__:
        assert getattr(mimic_plugin_sdk, name).__doc__, name
