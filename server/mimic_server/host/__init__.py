"""The plugin host: discovers, launches and supervises adapters, and holds conversations over them."""

from mimic_server.host.host import PluginHost
from mimic_server.host.settings import Attached, Launch, Limits, Tls

__all__ = ["Attached", "Launch", "Limits", "PluginHost", "Tls"]
