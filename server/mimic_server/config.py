"""The settings, read once, in `app.py` alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mimic_server.domain.errors import InvalidInputError
from mimic_server.domain.specs import violations_of


class Settings(BaseSettings):
    """Everything that can be set from outside. With nothing set, everything runs on this machine alone."""

    model_config = SettingsConfigDict(env_prefix="MIMIC_", extra="ignore", populate_by_name=True, frozen=True)

    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    """Address of the database, `sqlite:///path` or `postgresql://...`. Empty: SQLite in `data_dir`."""
    database_pool_size: Annotated[int, Field(validation_alias="DATABASE_POOL_SIZE", ge=1, le=1000)] = 5
    """Connections to the database that this process holds."""
    openai_api_key: Annotated[SecretStr, Field(validation_alias="OPENAI_API_KEY")] = SecretStr("")
    """Key of the OpenAI-compatible model. Empty: personas are scripted, unless a base URL is set."""
    openai_base_url: Annotated[str, Field(validation_alias="OPENAI_BASE_URL")] = ""
    """Where the model is served. Empty: OpenAI itself."""
    openai_model: Annotated[str, Field(validation_alias="OPENAI_MODEL")] = "gpt-4o-2024-08-06"
    """Which model plays personas and judges."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(validation_alias="LOG_LEVEL")
    ] = "info"
    """Least level of the log's lines."""

    log_file: Path = Path()
    """Where the log's lines are appended. Empty: standard error."""
    data_dir: Path = Path()
    """Where the database, the first key and the server's address lie. Empty: `mimic` in XDG_DATA_HOME."""
    host: str = "127.0.0.1"
    """Address that the server listens at."""
    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """Port of gRPC. 0: a free one."""
    adapter_path: str = ""
    """Directories with adapters, before the others; separated as in PATH."""
    attach: str = ""
    """Adapters that others run: `channel=host:port`, separated by commas."""
    model: Literal["auto", "scripted", "openai"] = "auto"
    """Who plays personas. auto: the OpenAI-compatible model if a key or base URL is set, else the script."""
    model_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    """For one answer of the model."""
    model_retries: Annotated[int, Field(ge=0, le=10)] = 4
    """Times that a model call is repeated after a failure that may pass."""
    model_concurrency: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Model calls at once."""
    record: Path = Path()
    """File that the model's answers are recorded in. Empty: nowhere."""
    replay: Path = Path()
    """File that the model's answers are replayed from. Empty: the model is asked."""

    @classmethod
    def read(cls, **flags: Any) -> Settings:
        """Reads the environment; flags that are not None come first.

        Raises:
            InvalidInputError: One violation for each setting that is wrong.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            raise InvalidInputError(violations_of(error), "INVALID_SETTING") from None

    @property
    def data_directory(self) -> Path:
        """The data directory in force."""
        if self.data_dir != Path():
            return self.data_dir.expanduser()
        return default_data_directory()

    @property
    def wants_openai(self) -> bool:
        """Whether a language model plays the personas."""
        if self.model == "auto":
            return bool(self.openai_api_key.get_secret_value() or self.openai_base_url)
        return self.model == "openai"

    def effective(self) -> list[tuple[str, str, str]]:
        """Each setting's name, value (secrets masked) and where it comes from."""
        rows = []
        for name, field in type(self).model_fields.items():
            variable = str(field.validation_alias or f"MIMIC_{name.upper()}")
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = "[set]" if value.get_secret_value() else ""
            elif value == Path():
                value = ""
            source = "default"
            if name in self.model_fields_set:
                source = "environment" if variable in os.environ else "flag"
            rows.append((variable, str(value), source))
        return rows


def default_data_directory() -> Path:
    """`mimic` in XDG_DATA_HOME or ~/.local/share; in the temporary directory without a usable HOME."""
    base = os.environ.get("XDG_DATA_HOME")
    if base:
        return Path(base) / "mimic"
    home = os.environ.get("HOME", "")
    if home and os.access(home, os.W_OK):
        return Path(home) / ".local" / "share" / "mimic"
    return Path(os.environ.get("TMPDIR", "/tmp")) / f"mimic-{os.getuid()}"  # noqa: S108 - made with mode 0700
