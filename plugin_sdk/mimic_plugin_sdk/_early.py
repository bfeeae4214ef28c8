"""What comes before all other imports when a host started this process: it waits for the answer."""

import gc
import os

from mimic_plugin_sdk import _stdout

if _stdout.taken_over is not None:
    # Imports make objects that stay; collecting among them meanwhile takes a twentieth of the start.
    gc.disable()
    # Before grpc is imported: its C core would write lines of its own to the log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Before a model is made: pydantic would read the metadata of every installed distribution for plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


# Python's own is 700. A turn leaves little in cycles, and looking for it that often takes a twentieth of it.
_YOUNG_OBJECTS = 20_000


def started() -> None:
    """Collect garbage again, more seldom, and never among what was imported."""
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()
