"""Settings: the environment, read once at the door and checked; a bad value names its variable."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from models.domain import enums
from models.domain.facts import ManualJoins, Rules
from models.settings import urls

Credential = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A blank one would be a secret that anybody can guess."""

KINDS = frozenset({enums.STANDARD, *enums.KINDS.values()})
"""LiveKit's ParticipantInfo.Kind. Its own enum would have every web process load protobuf."""

WRAPPED_KEY = re.compile(r"""^["'`{\[(<-]|["'`}\])>]$""")
WRAPPED_SECRET = re.compile(r"""^(["'`]).*\1$""")
"""What is pasted with pairs from YAML, JSON or a shell, and is part of none of them."""

MAX_RETENTION_DAYS = 36_500


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _kinds(words: tuple[str, ...]) -> tuple[str, ...]:
    kinds = tuple(word.upper() for word in words)
    if not kinds or not KINDS.issuperset(kinds):
        raise ValueError(f"must be some of {', '.join(sorted(KINDS))}")
    return kinds


def _origins(words: tuple[str, ...]) -> tuple[str, ...]:
    return words if words == ("*",) else tuple(urls.origin(word) for word in words)


def _key_pairs(text: str) -> str:
    for pair in _pair_lines(text):
        key, _, secret = pair.partition(":")
        if not key.strip() or not secret.strip():
            raise ValueError("must be `key: secret` pairs, separated by commas or newlines")
        if WRAPPED_KEY.search(key.strip()) or WRAPPED_SECRET.match(secret.strip()):
            raise ValueError("must be bare `key: secret` pairs, without quotes or brackets")
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is named {name!r}") from error
    return name


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError("must be an IP address of this machine, such as 127.0.0.1") from None


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
DatabaseUrl = Annotated[str, AfterValidator(urls.database)]
StandbyUrl = Annotated[str, AfterValidator(urls.standby)]
RedisUrl = Annotated[str, AfterValidator(urls.redis)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]


class BadSettings(Exception):
    """The environment does not make settings; the message has a line for each bad variable."""


class Settings(BaseSettings):
    """Rollcall's settings, each from the environment variable of its name in upper case.

    `NAME_FILE` reads the value from that file instead. Construct through `load`.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    livekit_api_key: Credential
    livekit_api_secret: Credential = Field(repr=False)
    livekit_keys: Annotated[str, AfterValidator(_key_pairs)] = Field("", repr=False)
    livekit_url: Annotated[str, AfterValidator(urls.livekit)] | None = None
    database_url: DatabaseUrl = Field("sqlite:///var/rollcall.db", repr=False)
    read_database_url: StandbyUrl | None = Field(None, repr=False)
    prepared_statements: bool = True
    redis_url: RedisUrl = Field("redis://127.0.0.1:6379/0", repr=False)
    host: Annotated[str, AfterValidator(_address)] = "0.0.0.0"  # noqa: S104  (all addresses)
    port: int = Field(8000, ge=1, le=65535)
    path_prefix: Annotated[str, AfterValidator(urls.prefix)] = ""
    web_processes: int = Field(1, ge=1, le=64)
    web_threads: int = Field(16, ge=1, le=256)
    workers: int = Field(1, ge=1, le=64)
    cache_ttl_seconds: int = Field(10, ge=1, le=60)
    stale_after_minutes: int = Field(5, ge=1, le=1440)
    default_duration_minutes: int = Field(60, ge=1, le=10_080)
    max_cycle_hours: int = Field(12, ge=1, le=720)
    manual_joins: Annotated[ManualJoins, BeforeValidator(_lower)] = "count"
    overrun_minutes: int = Field(0, ge=0, le=1440)
    late_after_minutes: int = Field(10, ge=0, le=1440)
    minimum_percentage: float | None = Field(None, ge=0, le=100)
    person_kinds: Annotated[Words, AfterValidator(_kinds)] = ("STANDARD", "SIP", "CONNECTOR")
    count_hidden: bool = False
    timezone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    retention_days: int = Field(30, ge=1, le=MAX_RETENTION_DAYS)
    attendance_webhook_secret: Annotated[Words, AfterValidator(urls.signing_secrets)] = Field(
        (), repr=False
    )
    attendance_webhook_url: Annotated[Words, AfterValidator(urls.receivers)] = Field((), repr=False)
    max_body_bytes: int = Field(2_097_152, ge=1024, le=67_108_864)
    cors_origins: Annotated[Words, AfterValidator(_origins)] = ()
    log_level: LogLevel = "info"
    log_format: Literal["json", "console"] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _NamedFiles(settings_cls), env_settings, dotenv_settings

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any, info: Any) -> Any:
        """`NAME=` in a .env file means the default, as an absent line does.

        The last of the validators that come before parsing is the first to run.
        """
        if isinstance(value, _BadFile):
            raise PydanticCustomError("bad_file", "{why}", {"why": str(value)})
        field = cls.model_fields[info.field_name]
        return field.default if value == "" and not field.is_required() else value

    @field_validator("read_database_url")
    @classmethod
    def _has_a_primary(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None and info.data.get("database_url", "").startswith("sqlite"):
            raise ValueError("needs a postgresql:// in DATABASE_URL: SQLite has no standby")
        return url

    @field_validator("attendance_webhook_url")
    @classmethod
    def _has_a_secret(cls, receivers: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """A secret that is there and bad is reported by itself."""
        if receivers and info.data.get("attendance_webhook_secret") == ():
            raise ValueError("needs an ATTENDANCE_WEBHOOK_SECRET to sign with")
        return receivers

    @property
    def keys(self) -> dict[str, str]:
        """Every configured API key with its secret; tokens choose among them by `iss`."""
        pairs = (pair.partition(":") for pair in _pair_lines(self.livekit_keys))
        more = {key.strip(): secret.strip() for key, _, secret in pairs}
        return more | {self.livekit_api_key: self.livekit_api_secret}

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def rules(self) -> Rules:
        """What `attendance.view` needs to know."""
        return Rules(
            stale_after=timedelta(minutes=self.stale_after_minutes),
            max_cycle=timedelta(hours=self.max_cycle_hours),
            manual_joins=self.manual_joins,
            overrun=timedelta(minutes=self.overrun_minutes),
            person_kinds=frozenset(self.person_kinds),
            count_hidden=self.count_hidden,
            timezone=self.zone,
        )


class WithoutDatabase(Settings):
    """The settings of a process that connects to no database. It does not look at the URLs, for
    which it would load the drivers: see `urls`."""

    database_url: str = Field("sqlite:///var/rollcall.db", repr=False)
    read_database_url: str | None = Field(None, repr=False)


def load(**given: Any) -> Settings:
    """The settings of this environment, `given` ones first. Raises BadSettings."""
    return _load(Settings, given)


def load_or_exit(*, database: bool = True) -> Settings:
    """The settings of this environment. Bad ones end the process with their sentences.

    Not `database`: those of a process that connects to none.
    """
    try:
        return _load(Settings if database else WithoutDatabase, {})
    except BadSettings as error:
        sys.exit(str(error))


def _load(kind: type[Settings], given: dict[str, Any]) -> Settings:
    try:
        return kind(**given)
    except ValidationError as error:
        raise BadSettings("\n".join(_line(one) for one in error.errors())) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f".env can't be read: {error}") from None


class _NamedFiles(PydanticBaseSettingsSource):
    """Values from the files that `NAME_FILE` variables name (Docker's and Kubernetes' secrets)."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = f"{field_name.upper()}_FILE"
        path = os.environ.get(name, dotenv_values(".env").get(name))
        if not path:
            return None, field_name, False
        try:
            value: Any = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            value = _BadFile(f"{path} can't be read: {error}")
        if value == "" != field.default:  # whoever names a file does not mean the default
            value = _BadFile(f"{path} is empty")
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


class _BadFile(Exception):
    """Stands for the value of a file that has none, so that it is reported with the rest."""


def _pair_lines(value: str) -> list[str]:
    return [pair.strip() for pair in re.split(r"[,\n]", value) if pair.strip()]


def _line(error: Any) -> str:
    name = "_".join(str(part) for part in error["loc"]).upper()
    if error["type"] == "missing":
        return f"{name} is not set"
    if error["type"] == "bad_file":
        name = f"{name}_FILE"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
