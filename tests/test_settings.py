"""Settings: what each variable takes, and that a bad value stops the start with its name."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol.models import ParticipantInfo
from pydantic.fields import FieldInfo

from models.domain.facts import Rules
from models.settings.settings import BadSettings, Settings, load

KEY_PAIR = {"LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "devsecret"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours is set, and no .env file lies in the way."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The least that a start needs; the test sets more."""
    made = Environment(monkeypatch)
    made(**KEY_PAIR)
    return made


class Environment:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(self, **variables: str) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)


def complaint() -> str:
    with pytest.raises(BadSettings) as caught:
        load()
    return str(caught.value)


# --- defaults -------------------------------------------------------------------------------------


def test_a_key_pair_is_all_that_must_be_set(environment: Environment) -> None:
    told = load()
    assert told.database_url == "sqlite:///var/rollcall.db"
    assert told.redis_url == "redis://127.0.0.1:6379/0"
    assert told.livekit_url is None
    assert (told.port, told.workers) == (8000, 1)
    assert (told.web_processes, told.web_threads) == (1, 16)
    assert (told.cache_ttl_seconds, told.default_duration_minutes) == (10, 60)
    assert (told.late_after_minutes, told.minimum_percentage) == (10, None)
    assert (told.retention_days, told.max_body_bytes) == (30, 2_097_152)
    assert (told.zone.key, told.cors_origins) == ("UTC", ())
    assert (told.log_level, told.log_format) == ("info", None)
    assert told.keys == {"devkey": "devsecret"}
    assert told.rules == Rules(
        stale_after=timedelta(minutes=5),
        max_cycle=timedelta(hours=12),
        overrun=timedelta(0),
        person_kinds=frozenset({"STANDARD", "SIP", "CONNECTOR"}),
        count_hidden=False,
    )


def test_without_a_key_pair_both_names_are_told() -> None:
    assert complaint().splitlines() == [
        "LIVEKIT_API_KEY is not set",
        "LIVEKIT_API_SECRET is not set",
    ]


def test_an_empty_variable_means_its_default(environment: Environment) -> None:
    untouched = load()
    optional = [name for name, told in Settings.model_fields.items() if not told.is_required()]
    environment(**{name.upper(): "" for name in optional})
    assert load() == untouched


@pytest.mark.parametrize("name", KEY_PAIR)
@pytest.mark.parametrize("blank", ["", "   ", "\t\n"])
def test_a_blank_key_or_secret_is_none(environment: Environment, name: str, blank: str) -> None:
    environment(**{name: blank})
    assert complaint().startswith(f"{name}: ")


def test_blanks_around_a_key_pair_are_not_part_of_it(environment: Environment) -> None:
    environment(LIVEKIT_API_KEY=" devkey ", LIVEKIT_API_SECRET=" devsecret\n")
    assert load().keys == {"devkey": "devsecret"}


# --- each variable --------------------------------------------------------------------------------

ORIGINS = ("https://a.example", "https://b.example")
SIGNING = "whsec_" + "c2VjcmV0" * 5 + "c2U="
TAKEN: list[tuple[str, str, Any]] = [
    ("LIVEKIT_URL", "wss://live.example", "wss://live.example"),
    ("LIVEKIT_URL", " http://127.0.0.1:7880 ", "http://127.0.0.1:7880"),
    ("DATABASE_URL", "postgresql://u:p@db/rollcall", "postgresql://u:p@db/rollcall"),
    ("DATABASE_URL", "postgres://u:p@db/rollcall", "postgres://u:p@db/rollcall"),
    ("DATABASE_URL", "sqlite:////srv/rollcall.db", "sqlite:////srv/rollcall.db"),
    *(
        ("DATABASE_URL", url, url)
        for url in (
            "sqlite+pysqlite:///rollcall.db",
            "postgresql+psycopg://u:p@db/rollcall",
            "postgresql://u:p?@db/rollcall?options=-csearch_path%3Drollcall&sslmode=require",
            "postgresql://u:p@one,two/rollcall?target_session_attrs=read-write",
            "postgresql://u:p@/rollcall?host=one:5432&host=two:5433",
            "postgresql://u:p@one:5432,two:5433/rollcall?target_session_attrs=read-write",
            "postgresql://u:p,q@one:5432,two/rollcall",
            "postgresql://u:p@[::1]:5432,[::2]:5433/rollcall",
            "postgresql:///rollcall?host=/run/postgresql",
            "postgresql://db/rollcall?connect_timeout=5&service=rollcall",
            "postgresql://",
        )
    ),
    ("PREPARED_STATEMENTS", "false", False),
    ("REDIS_URL", "rediss://:p@cache:6380/1", "rediss://:p@cache:6380/1"),
    ("REDIS_URL", "unix:///run/valkey.sock", "unix:///run/valkey.sock"),
    *(
        ("REDIS_URL", url, url)
        for url in (
            "redis://cache",
            "redis://cache/",
            "redis://cache?db=2&health_check_interval=30",
            "rediss://cache/0?ssl_cert_reqs=none",
            "unix:///run/valkey.sock?db=1",
            "redis+sentinel://one:26379,two/mymaster",
            "redis+sentinel://u:p@one:26379,[::1]:26380/mymaster/2?sentinel_password=q",
            "rediss+sentinel://:p@one/mymaster/0?ssl_ca_certs=/etc/ssl/own.pem",
        )
    ),
    ("HOST", "127.0.0.1", "127.0.0.1"),
    ("HOST", "[::1]", "::1"),
    ("PORT", "9000", 9000),
    ("PATH_PREFIX", "/school/rollcall/", "/school/rollcall"),
    ("PATH_PREFIX", "/", ""),
    ("WEB_PROCESSES", "2", 2),
    ("WEB_THREADS", "12", 12),
    ("WORKERS", "4", 4),
    ("CACHE_TTL_SECONDS", "3", 3),
    ("STALE_AFTER_MINUTES", "7", 7),
    ("DEFAULT_DURATION_MINUTES", "45", 45),
    ("MAX_CYCLE_HOURS", "6", 6),
    ("MANUAL_JOINS", "HINT", "hint"),
    ("OVERRUN_MINUTES", "15", 15),
    ("LATE_AFTER_MINUTES", "0", 0),
    ("MINIMUM_PERCENTAGE", "75.5", 75.5),
    ("PERSON_KINDS", "STANDARD, AGENT,", ("STANDARD", "AGENT")),
    ("PERSON_KINDS", "standard,sip", ("STANDARD", "SIP")),
    ("COUNT_HIDDEN", "true", True),
    ("TIMEZONE", "Asia/Riyadh", "Asia/Riyadh"),
    ("RETENTION_DAYS", "365", 365),
    ("MAX_BODY_BYTES", "65536", 65_536),
    ("CORS_ORIGINS", "https://a.example, https://b.example/", ORIGINS),
    ("CORS_ORIGINS", "https://A.example:443,https://b.example", ORIGINS),
    ("CORS_ORIGINS", "http://localhost:3000", ("http://localhost:3000",)),
    ("CORS_ORIGINS", "https://bücher.example", ("https://xn--bcher-kva.example",)),
    ("CORS_ORIGINS", "capacitor://localhost", ("capacitor://localhost",)),
    ("CORS_ORIGINS", " * ", ("*",)),
    ("ATTENDANCE_WEBHOOK_SECRET", f"{SIGNING} , {SIGNING[:-1]}", (SIGNING, SIGNING[:-1])),
    ("LOG_LEVEL", "WARNING", "warning"),
    ("LOG_FORMAT", "console", "console"),
]

REFUSED = [
    ("LIVEKIT_KEYS", "no pair"),
    ("LIVEKIT_KEYS", "key: "),
    ("LIVEKIT_KEYS", "good: secret, : secret"),
    ("LIVEKIT_KEYS", '"key: s3cret"'),
    ("LIVEKIT_KEYS", "key: 's3cret'"),
    ("LIVEKIT_KEYS", '{"key": "s3cret"}'),
    ("LIVEKIT_KEYS", "{key: s3cret}"),
    ("LIVEKIT_KEYS", "[key: s3cret]"),
    ("LIVEKIT_KEYS", "- key: s3cret"),
    ("LIVEKIT_KEYS", "keys:\n  key: s3cret"),
    ("LIVEKIT_URL", "nonsense"),
    ("LIVEKIT_URL", " "),
    ("LIVEKIT_URL", "ftp://live.example"),
    ("LIVEKIT_URL", "https://"),
    ("LIVEKIT_URL", "https://[live"),
    ("LIVEKIT_URL", "https://live.example:port"),
    ("PERSON_KINDS", "STANDRD"),
    ("PERSON_KINDS", "STANDARD, 7"),
    ("PERSON_KINDS", ","),
    ("DATABASE_URL", "mysql://u:s3cret@db/rollcall"),
    ("DATABASE_URL", "mssql+pyodbc://u:s3cret@db/rollcall"),
    ("DATABASE_URL", "rollcall.db"),
    ("DATABASE_URL", "postgresql://u:s3cret@db:port/rollcall"),
    ("DATABASE_URL", "postgresql://u:s3cret@db/rollcall?pgbouncer=true"),  # Prisma's
    ("DATABASE_URL", "postgresql://u:s3cret@db/rollcall?schema=public"),
    ("DATABASE_URL", "postgresql://u:s3cret@db/rollcall?connect_timeout=soon"),
    ("DATABASE_URL", "postgresql://u:s3cret@db/rollcall?host=a&host=b&port=1"),
    ("DATABASE_URL", "postgresql+asyncpg://u:s3cret@db/rollcall"),
    ("DATABASE_URL", "sqlite+aiosqlite:///rollcall.db"),
    ("DATABASE_URL", "sqlite://var/rollcall.db"),
    ("DATABASE_URL", "postgresql://u:s3cret@one:x,two:5433/rollcall"),
    ("DATABASE_URL", "sqlite:///rollcall.db?timeout=5"),
    ("DATABASE_URL", "sqlite://"),  # in memory: each process would have its own
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("READ_DATABASE_URL", "sqlite:///copy.db"),
    ("READ_DATABASE_URL", "mysql://u:s3cret@db/rollcall"),
    ("READ_DATABASE_URL", "postgresql://u:s3cret@db/rollcall"),  # of a SQLite file
    ("REDIS_URL", "http://cache:6379"),
    ("REDIS_URL", "redis://:s3cret@cache:port/0"),
    ("REDIS_URL", "redis://u:s3cret/@cache:6379/0"),
    ("REDIS_URL", "redis://:s3cret@cache:6379/0?ssl_cert_reqs=none"),  # TLS is rediss://
    ("REDIS_URL", "redis://cache:6379/0?foo=bar"),
    ("REDIS_URL", "redis://cache:6379/0?protocol=9"),
    ("REDIS_URL", "redis://cache:6379/0?db=x"),
    ("REDIS_URL", "redis://cache:6379/rollcall"),
    ("REDIS_URL", "redis://cache:6379/-1"),
    ("REDIS_URL", "unix:///run/valkey.sock?foo=bar"),
    ("REDIS_URL", "redis+sentinel://:s3cret@one:26379,two:26379"),  # which service?
    ("REDIS_URL", "redis+sentinel://:s3cret@one:port/mymaster/0"),
    ("REDIS_URL", "redis+sentinel://:s3cret@one,/mymaster/0"),
    ("REDIS_URL", "redis+sentinel://:s3cret@one/mymaster/rollcall"),
    ("REDIS_URL", "redis+sentinel://:s3cret@one/mymaster/0?foo=bar"),
    ("HOST", "rollcall.example"),
    ("HOST", "x86_64-conda-linux-gnu"),
    ("PORT", "0"),
    ("PATH_PREFIX", "rollcall"),
    ("PATH_PREFIX", "/rollcall?x=y"),
    ("PATH_PREFIX", "/api/rollcall"),
    ("PORT", "http"),
    ("WEB_PROCESSES", "0"),
    ("WEB_THREADS", "0"),
    ("WORKERS", "-1"),
    ("CACHE_TTL_SECONDS", "0"),
    ("CACHE_TTL_SECONDS", "61"),
    ("STALE_AFTER_MINUTES", "0"),
    ("DEFAULT_DURATION_MINUTES", "0"),
    ("MAX_CYCLE_HOURS", "0"),
    ("MANUAL_JOINS", "sometimes"),
    ("OVERRUN_MINUTES", "-1"),
    ("LATE_AFTER_MINUTES", "soon"),
    ("MINIMUM_PERCENTAGE", "101"),
    ("MINIMUM_PERCENTAGE", "nan"),
    ("COUNT_HIDDEN", "perhaps"),
    ("TIMEZONE", "Mars/Olympus"),
    ("TIMEZONE", "../../etc/passwd"),
    ("RETENTION_DAYS", "0"),
    ("MAX_BODY_BYTES", "12"),
    ("CORS_ORIGINS", "https://*.academy.example"),
    ("CORS_ORIGINS", "https://a(.example"),
    ("CORS_ORIGINS", "https://a.example, *"),
    ("CORS_ORIGINS", "academy.example"),
    ("CORS_ORIGINS", "https://a.example/app"),
    ("CORS_ORIGINS", "https://u@a.example"),
    ("CORS_ORIGINS", "https://a.example?"),
    ("CORS_ORIGINS", "http://[::1]:3000"),
    ("CORS_ORIGINS", "null"),
    ("ATTENDANCE_WEBHOOK_SECRET", "c2VjcmV0" * 6),
    ("ATTENDANCE_WEBHOOK_SECRET", "whsec_s3cret"),
    ("ATTENDANCE_WEBHOOK_SECRET", "whsec_" + "c2VjcmV0" * 3),
    ("ATTENDANCE_WEBHOOK_SECRET", "whsec_" + "c2VjcmV0" * 11),
    ("ATTENDANCE_WEBHOOK_SECRET", f"{SIGNING}, whsec_s3cret!"),
    ("ATTENDANCE_WEBHOOK_URL", "https://app.example/hook"),  # without a secret
    ("ATTENDANCE_WEBHOOK_URL", "ftp://u:s3cret@app.example/hook"),
    ("ATTENDANCE_WEBHOOK_URL", "app.example/hook?token=s3cret"),
    ("LOG_LEVEL", "chatty"),
    ("LOG_FORMAT", "xml"),
]


@pytest.mark.parametrize(("name", "value", "meant"), TAKEN)
def test_a_variable_is_taken(environment: Environment, name: str, value: str, meant: Any) -> None:
    environment(**{name: value})
    assert getattr(load(), name.lower()) == meant


def test_every_variable_has_a_row() -> None:
    tested = {name.lower() for name, _, _ in TAKEN} | {"livekit_keys", "read_database_url"}
    tested |= {"attendance_webhook_url"}
    assert tested | {"livekit_api_key", "livekit_api_secret"} == set(Settings.model_fields)


def test_a_person_may_be_of_any_kind_that_livekit_knows(environment: Environment) -> None:
    kinds = tuple(ParticipantInfo.Kind.keys())
    environment(PERSON_KINDS=",".join(kinds))
    assert load().person_kinds == kinds


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_bad_value_is_refused_with_the_variables_name(
    environment: Environment, name: str, value: str
) -> None:
    environment(**{name: value})
    said = complaint()
    assert said.startswith(f"{name}: ")
    assert len(said.splitlines()) == 1
    assert "s3cret" not in said


def test_every_bad_value_is_told_at_once(environment: Environment) -> None:
    environment(PORT="x", WORKERS="y")
    assert [line.partition(":")[0] for line in complaint().splitlines()] == ["PORT", "WORKERS"]


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs",
    [
        "old: s1, older: s2:with:colons",
        "old: s1\nolder: s2:with:colons\n",
        " old:s1 ,\n\nolder :s2:with:colons",
    ],
)
def test_more_keys_are_pairs_between_commas_or_line_ends(
    environment: Environment, pairs: str
) -> None:
    environment(LIVEKIT_KEYS=pairs)
    assert load().keys == {"devkey": "devsecret", "old": "s1", "older": "s2:with:colons"}


def test_the_key_pair_wins_over_one_of_its_name_among_more_keys(environment: Environment) -> None:
    environment(LIVEKIT_KEYS="devkey: older secret")
    assert load().keys == {"devkey": "devsecret"}


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LIVEKIT_API_SECRET", "LIVEKIT_KEYS", "DATABASE_URL", "PORT"])
def test_any_variable_may_stand_in_a_file(
    environment: Environment, tmp_path: Path, name: str
) -> None:
    said = {"LIVEKIT_API_SECRET": "of the file", "LIVEKIT_KEYS": "old: s1", "PORT": "9000"}
    value = said.get(name, "sqlite:///of-the-file.db")
    (tmp_path / "secret").write_text(f"{value}\n", encoding="utf-8")
    environment(**{f"{name}_FILE": str(tmp_path / "secret")})
    assert str(getattr(load(), name.lower())) == value


def test_a_standby_is_taken_of_postgresql_alone(environment: Environment, tmp_path: Path) -> None:
    url = "postgresql://u:s3cret@one,two/rollcall?target_session_attrs=standby"
    environment(DATABASE_URL="postgresql://u:p@db/rollcall", READ_DATABASE_URL=url)
    assert load().read_database_url == url
    assert "s3cret" not in repr(load())
    (tmp_path / "secret").write_text(url)
    environment(READ_DATABASE_URL="", READ_DATABASE_URL_FILE=str(tmp_path / "secret"))
    assert load().read_database_url == url
    environment(DATABASE_URL="")
    assert complaint() == (
        "READ_DATABASE_URL: needs a postgresql:// in DATABASE_URL: SQLite has no standby"
    )


def test_a_webhook_of_ours_goes_to_several_addresses_each_once(environment: Environment) -> None:
    first, second = "https://u:p@app.example/hook?key=1", "http://127.0.0.1:9000/"
    environment(ATTENDANCE_WEBHOOK_SECRET=SIGNING)
    environment(ATTENDANCE_WEBHOOK_URL=f"{first}, {second}, {first}")
    assert load().attendance_webhook_url == (first, second)


def test_a_bad_secret_is_told_once(environment: Environment) -> None:
    environment(ATTENDANCE_WEBHOOK_SECRET="none", ATTENDANCE_WEBHOOK_URL="https://app.example/")
    assert [line.partition(":")[0] for line in complaint().splitlines()] == [
        "ATTENDANCE_WEBHOOK_SECRET"
    ]


def test_a_bad_value_in_a_file_names_the_variable(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("http")
    environment(PORT_FILE=str(tmp_path / "port"))
    assert complaint().startswith("PORT: ")


def test_a_file_that_cannot_be_read_is_named(environment: Environment, tmp_path: Path) -> None:
    environment(DATABASE_URL_FILE=str(tmp_path / "nowhere"))
    assert complaint().startswith("DATABASE_URL_FILE: ")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    environment(DATABASE_URL_FILE=str(tmp_path / "binary"))
    assert complaint().startswith("DATABASE_URL_FILE: ")


def test_an_empty_file_is_named_unless_empty_is_a_value(
    environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")
    environment(DATABASE_URL_FILE="empty", LIVEKIT_KEYS_FILE="empty")
    assert complaint() == "DATABASE_URL_FILE: empty is empty"


def test_bad_files_are_told_with_everything_else(environment: Environment) -> None:
    environment(LIVEKIT_API_SECRET_FILE="/nope", LIVEKIT_KEYS_FILE="/nope2", PORT="x")
    names = [line.partition(":")[0] for line in complaint().splitlines()]
    assert names == ["LIVEKIT_API_SECRET_FILE", "LIVEKIT_KEYS_FILE", "PORT"]


@pytest.mark.usefixtures("environment")
def test_a_dotenv_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("LIVEKIT_API_KEY=clé".encode("latin-1"))
    assert complaint().startswith(".env can't be read: ")


def test_a_dotenv_file_is_read_and_the_environment_wins(
    environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "port").write_text("9001")
    lines = "LIVEKIT_API_KEY=of the file\nWORKERS=3\nPORT_FILE=port\nSOMETHING_ELSE=5\n"
    (tmp_path / ".env").write_text(lines)
    told = load()
    assert (told.livekit_api_key, told.workers, told.port) == ("devkey", 3, 9001)


def test_secrets_are_not_shown(environment: Environment) -> None:
    environment(LIVEKIT_KEYS="old: s3cret", DATABASE_URL="postgresql://u:s3cret@db/r")
    environment(ATTENDANCE_WEBHOOK_SECRET=SIGNING)
    environment(ATTENDANCE_WEBHOOK_URL="https://u:s3cret@app.example/")
    shown = repr(load())
    assert "s3cret" not in shown
    assert "devsecret" not in shown
    assert "whsec_" not in shown


# --- what is written about it ---------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
EXAMPLE, README = ROOT / ".env.example", ROOT / "README.md"


def test_the_example_has_every_variable_with_its_default() -> None:
    assert _of_example() == {name: _as_text(told) for name, told in _fields()}


def test_the_example_as_it_stands_starts_nothing_but_what_has_keys(
    environment: Environment, tmp_path: Path
) -> None:
    copied = tmp_path / ".env"
    copied.write_text(_uncommented(EXAMPLE.read_text()))
    assert load(_env_file=copied) == load(_env_file=None)


def test_the_readme_lists_every_variable_with_its_default() -> None:
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|(.*?)\|", README.read_text(), re.MULTILINE)
    listed = {
        name: default.replace("`", "").strip()
        for names, default in rows
        for name in re.findall("[A-Z_]+", names)
    }
    assert listed == {name: _in_words(name, field) for name, field in _fields()}


def _fields() -> list[tuple[str, FieldInfo]]:
    return [(name.upper(), field) for name, field in Settings.model_fields.items()]


def _of_example() -> dict[str, str]:
    lines = _uncommented(EXAMPLE.read_text()).splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#") and line)


def _uncommented(example: str) -> str:
    return re.sub(r"^# (?=[A-Z_]+=)(?!NAME_FILE)", "", example, flags=re.MULTILINE)


def _as_text(field: FieldInfo) -> str:
    if field.is_required() or field.default is None:
        return ""
    if isinstance(field.default, tuple):
        return ",".join(field.default)
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def _in_words(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return {
        "LIVEKIT_KEYS": "",
        "LIVEKIT_URL": "unset",
        "READ_DATABASE_URL": "unset",
        "MINIMUM_PERCENTAGE": "unset",
        "CORS_ORIGINS": "empty",
        "PATH_PREFIX": "empty",
        "LOG_FORMAT": "json (console on a terminal)",
    }.get(name) or _as_text(field)
