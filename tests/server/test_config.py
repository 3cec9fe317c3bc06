"""Settings: what overrules what, and that whatever is wrong is one line with its name, what it got, what it takes."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from server import node_settings
from server.config import Settings, SettingsError, check_keys, load, parse_keys, rows
from signaling.settings import DEFAULT_CODECS, Limits, RoomSettings
from signaling.turn import TurnServer

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables of the machine, and an empty folder for `data/veche.toml`."""
    for name in [name for name in os.environ if name.upper().startswith("VECHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(file: Path | None = None, *overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(file, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_defaults_are_those_of_the_manual() -> None:
    settings = load()
    assert (settings.http.host, settings.http.port, settings.http.tls_port) == ("0.0.0.0", 8080, 8443)
    assert (settings.rtc.udp_port, settings.rtc.addresses, settings.rtc.idle_timeout) == (7882, (), 30.0)
    assert (settings.data_dir, settings.keys, settings.redis.url) == (Path("data"), {}, "")
    assert node_settings.room_settings(settings.room) == RoomSettings()
    assert settings.room.enabled_codecs == DEFAULT_CODECS
    assert settings.limit.max_metadata_size == Limits().max_metadata_size
    assert settings.limit.failed_joins_per_minute == 20


def test_the_command_line_overrules_variables_and_those_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "veche.toml"
    file.write_text("[http]\nport = 1001\ntls_port = 1002\nhost = '127.0.0.1'\n[log]\nlevel = 'error'\n")
    assert load(file).http.port == 1001
    monkeypatch.setenv("VECHE_HTTP__PORT", "2001")
    monkeypatch.setenv("VECHE_HTTP__TLS_PORT", "2002")
    read = load(file, ["http.port=3001"])
    assert (read.http.port, read.http.tls_port, read.http.host, read.log.level) == (3001, 2002, "127.0.0.1", "error")


def test_the_file_in_the_data_folder_is_read_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "veche.toml").write_text("[http]\nport = 1001\n")
    assert load().http.port == 1001
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "veche.toml").write_text("[http]\nport = 1002\n")
    assert load(None, [f"data_dir={tmp_path / 'elsewhere'}"]).http.port == 1002
    monkeypatch.setenv("VECHE_DATA_DIR", str(tmp_path / "elsewhere"))
    read = load()
    assert (read.http.port, read.data_dir) == (1002, tmp_path / "elsewhere")


def test_empty_variables_are_none_and_names_may_be_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """docker-compose.yml hands over what the operator did not set as an empty text."""
    monkeypatch.setenv("VECHE_REDIS__URL", "")
    monkeypatch.setenv("VECHE_HTTP__PORT", "")
    monkeypatch.setenv("veche_log__level", "debug")
    read = load()
    assert (read.redis.url, read.http.port, read.log.level) == ("", 8080, "debug")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("198.18.0.1", ("198.18.0.1",)),
        ("198.18.0.1, 2001:db8::7", ("198.18.0.1", "2001:db8::7")),
        ("198.18.0.1 198.18.0.2", ("198.18.0.1", "198.18.0.2")),
        ('["198.18.0.1"]', ("198.18.0.1",)),
        ("2001:DB8:0::7", ("2001:db8::7",)),
    ],
)
def test_lists_are_words(monkeypatch: pytest.MonkeyPatch, given: str, expected: tuple[str, ...]) -> None:
    monkeypatch.setenv("VECHE_RTC__ADDRESSES", given)
    assert load().rtc.addresses == expected


@pytest.mark.parametrize(
    ("given", "name", "takes"),
    [
        ("http.port=0", "http.port", "greater than or equal to 1"),
        ("http.port=65536", "http.port", "less than or equal to 65535"),
        ("http.port=eighty", "http.port", "a valid integer"),
        ("http.port=8443", "http", "two different ports"),
        ("http.host=localhost", "http.host", "an IP address such as"),
        ("http.cert=/a.pem", "http", "set both or none"),
        ("http.trusted_proxies=10.0.0.0/8, proxy", "http.trusted_proxies", "networks such as 10.0.0.0/8"),
        ("http.trusted_proxies=10.0.0.1/8", "http.trusted_proxies", "networks such as 10.0.0.0/8"),
        ("rtc.udp_port=-1", "rtc.udp_port", "greater than or equal to 1"),
        ("rtc.addresses=example.org", "rtc.addresses", "an IP address such as"),
        ("rtc.addresses=0.0.0.0", "rtc.addresses", "addresses that a client can send to"),
        ("rtc.addresses=224.0.0.1", "rtc.addresses", "addresses that a client can send to"),
        ("rtc.shards=257", "rtc.shards", "less than or equal to 256"),
        ("rtc.idle_timeout=1", "rtc.idle_timeout", "greater than or equal to 5"),
        ("rtc.idle_timeout=nan", "rtc.idle_timeout", "finite"),
        ("room.auto_create=perhaps", "room.auto_create", "a valid boolean"),
        ("room.empty_timeout=-1", "room.empty_timeout", "greater than or equal to 0"),
        ("room.enabled_codecs=video/MP4", "room.enabled_codecs", "one or more of video/VP8"),
        ("room.enabled_codecs=", "room.enabled_codecs", "one or more of video/VP8"),
        ("room.empty_timeout=4294967296", "room.empty_timeout", "less than 4294967296"),
        ("rtc.turn_servers=turn", "rtc.turn_servers", "a JSON list"),
        ("room.room_configurations=hall", "room.room_configurations", "a JSON object"),
        ("enable_participant_data_blob=maybe", "enable_participant_data_blob", "a valid boolean"),
        ("limit.bytes_per_sec=-1", "limit.bytes_per_sec", "greater than or equal to 0"),
        ("limit.num_tracks=-1", "limit.num_tracks", "greater than or equal to 0"),
        ("limit.signal_message_size_limit=1000", "limit.signal_message_size_limit", "greater than or equal to 65536"),
        ("limit.signal_messages_per_second=inf", "limit.signal_messages_per_second", "finite"),
        ("webhook.urls=localhost:6379", "webhook.urls", "begin with http:// or https://"),
        ("webhook.urls=http://", "webhook.urls", "name a host"),
        ("webhook.filter_params.include_events=joined", "webhook.filter_params.include_events", "among room_started"),
        ("redis.url=localhost:6379", "redis.url", "redis://"),
        ("database.url=mysql://x", "database.url", "sqlite:///"),
        ("metrics.host=all", "metrics.host", "an IP address such as"),
        ("metrics.port=70000", "metrics.port", "less than or equal to 65535"),
        ("log.level=loud", "log.level", "'debug', 'info', 'warning' or 'error'"),
        ("log.json=maybe", "log.json", "a valid boolean"),
        ("keys=short", "keys", "lines of the form `key: secret`"),
        ("keys=key: short", "keys", "secrets of 32 bytes or more; that of key has 5"),
        (f"keys=a b: {SECRET}", "keys", "names of 1 to 128 letters"),
        (f"keys=key: {SECRET}; key: {SECRET}", "keys", "each key once; key is there twice"),
    ],
)
def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, name: str, takes: str
) -> None:
    text = refused(None, given)
    assert text.startswith(f"{name} (command line): ")
    assert takes in text
    setting, _, value = given.partition("=")
    assert SECRET not in text
    if name == setting and value and name != "keys" and not name.endswith(("url", "urls", "turn_servers")):
        assert "got " in text
    if value:
        variable = f"VECHE_{setting.replace('.', '__').upper()}"
        monkeypatch.setenv(variable, value)
        text = refused()
        assert text.startswith(f"{name} ({variable}): ")
        assert takes in text


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ("[http\n", "veche.toml: takes TOML: "),
        ("port = 1\n", "unknown setting port (veche.toml): takes data_dir, keys, http, "),
        ("[http]\nprot = 1\n", "unknown setting http.prot (veche.toml): takes host, port, tls_port, "),
        ("[mail]\nsender = 'a'\n", "unknown setting mail.sender (veche.toml): takes url, from"),
        ("[http]\nport = '80a'\n", "http.port (veche.toml): got '80a', takes a valid integer"),
        ("[http]\nport = [1]\n", "http.port (veche.toml): got [1], takes a valid integer"),
        ("http = 1\n", "http (veche.toml): got 1, takes "),
        ("[keys]\nkey = 'short'\n", "keys (veche.toml): takes secrets of 32 bytes or more; that of key has 5"),
        ("[keys]\nkey = 7\n", "keys.key (veche.toml): takes a valid string"),
        (
            "[room.room_configurations.hall]\nempty_timeout = -1\n",
            "room.room_configurations.hall.empty_timeout (veche.toml): got -1, takes greater than or equal to 0",
        ),
        (
            "[room.room_configurations.hall]\ntimeout = 1\n",
            "unknown setting room.room_configurations.hall.timeout (veche.toml): takes empty_timeout, ",
        ),
        ("[rtc]\nudp_port = 7882\nudp_port = 7883\n", "veche.toml: takes TOML: "),
    ],
)
def test_a_wrong_file_is_one_line(content: str, start: str) -> None:
    file = Path("veche.toml")
    file.write_text(content)
    assert refused(file).startswith(start)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.toml") == f"--config: got {tmp_path}/none.toml, takes a TOML file that exists"
    (tmp_path / "latin.toml").write_bytes(b"[log]\nlevel = '\xe9'\n")
    assert "takes TOML" in refused(tmp_path / "latin.toml")
    assert "takes a file that can be read" in refused(tmp_path)


def test_unknown_names_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(None, "http.port") == "--set: got 'http.port', takes section.key=value"
    assert refused(None, "http.prot=1").startswith("unknown setting http.prot (command line): takes host, port")
    assert refused(None, "nothing=1").startswith("unknown setting nothing (command line): takes data_dir, keys")
    assert refused(None, "http.port.x=1").startswith("http.port (command line): got {'x': '1'}, takes ")
    monkeypatch.setenv("VECHE_HTTP__PROT", "1")
    assert refused().startswith("unknown setting http.prot (VECHE_HTTP__PROT): takes host, port")
    monkeypatch.delenv("VECHE_HTTP__PROT")
    monkeypatch.setenv("VECHE_PORT", "1")
    assert refused().startswith("unknown variable VECHE_PORT: takes VECHE_<SECTION>__<KEY>")


def test_addresses_with_passwords_are_not_repeated() -> None:
    assert "hunter2" not in refused(None, "redis.url=http://user:hunter2@host")
    assert "hunter2" not in refused(None, "database.url=postgres://user:hunter2@host")
    assert SECRET not in repr(load(None, [f"keys=key: {SECRET}"]))
    assert "hunter2" not in repr(load(None, ["redis.url=redis://user:hunter2@host"]))
    assert "hunter2" not in repr(load(None, ["mail.url=smtp://user:hunter2@host", "mail.from=a@b.c"]))
    assert "hunter2" not in refused(None, "mail.url=http://user:hunter2@host")


def test_the_sender_of_mail_is_named_as_it_is_written() -> None:
    takes = "takes the address that mail comes from, where mail.url is set"
    server = "mail.url=smtp://mail.example"
    assert refused(None, server) == f"mail.from (data/veche.toml): got '', {takes}"
    assert refused(None, server, "mail.from=nobody") == f"mail.from (command line): got 'nobody', {takes}"


def test_keys_are_read_in_the_forms_that_operators_know() -> None:
    other = SECRET[::-1]
    expected = {"a": SECRET, "b.c-d_e": other}
    assert parse_keys(f"a: {SECRET}\nb.c-d_e: {other}\n") == expected
    assert parse_keys(f"a:{SECRET};b.c-d_e:{other}") == expected
    assert parse_keys(f"# ours\n\n a : {SECRET} ;\n b.c-d_e: {other}") == expected
    assert list(parse_keys(f"z: {SECRET}; a: {other}")) == ["z", "a"]
    assert check_keys(expected) == expected
    assert parse_keys("a: with:colons") == {"a": "with:colons"}


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.http.port = 1
    with pytest.raises(ValidationError):
        settings.data_dir = Path("x")


def test_every_setting_has_a_manual() -> None:
    listed = {name: (default, text) for name, default, text in rows()}
    assert listed["http.port"] == (
        "8080",
        "Port of plain HTTP: for SDKs, for localhost, and for a reverse proxy that ends TLS.",
    )
    assert {"keys", "data_dir", "mail.from", "log.json", "limit.num_tracks"} <= set(listed)
    assert all(text for _, text in listed.values())
    assert {"webhook.urls", "webhook.filter_params.include_events"} <= set(listed)
    assert {name.partition(".")[0] for name in listed} == set(Settings.model_fields)


TURN = "[[rtc.turn_servers]]\nhost = 'turn'\nport = 3478\nprotocol = 'udp'\n"


def test_turn_servers_come_from_tables_or_from_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "veche.toml"
    file.write_text(f"{TURN}secret = 'north'\n{TURN}username = 'all'\ncredential = 'word'\n")
    assert node_settings.turn_servers(load(file).rtc) == (
        TurnServer("turn", 3478, "udp", secret="north", ttl=14400),
        TurnServer("turn", 3478, "udp", username="all", credential="word"),
    )
    given = '[{"host": "2001:db8::7", "port": 443, "protocol": "tls", "secret": "north", "ttl": 60}]'
    monkeypatch.setenv("VECHE_RTC__TURN_SERVERS", given)
    assert node_settings.turn_servers(load().rtc) == (TurnServer("2001:db8::7", 443, "tls", secret="north", ttl=60),)
    assert "north" not in repr(load())


def test_the_secret_of_a_turn_server_may_stand_in_a_file(tmp_path: Path) -> None:
    secret, file = tmp_path / "turn-secret", tmp_path / "veche.toml"
    file.write_text(f"{TURN}secret_file = '{secret}'\n")
    secret.write_text("north\n")
    assert node_settings.turn_servers(load(file).rtc) == (TurnServer("turn", 3478, "udp", secret="north"),)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "takes a file with the secret on one line: No such file or directory"),
        (b"\n", "takes a file with the secret on one line"),
        (b"north\nsouth\n", "takes a file with the secret on one line"),
        (b"\xff\xfe", "takes a file with the secret on one line, in UTF-8"),
    ],
)
def test_a_file_without_a_secret_stops_the_start(tmp_path: Path, content: bytes | None, why: str) -> None:
    secret, file = tmp_path / "turn-secret", tmp_path / "veche.toml"
    file.write_text(f"{TURN}secret_file = '{secret}'\n")
    if content is not None:
        secret.write_bytes(content)
    settings = load(file)
    with pytest.raises(SettingsError) as caught:
        node_settings.turn_servers(settings.rtc)
    assert str(caught.value) == f"rtc.turn_servers.secret_file: got {secret}, {why}"


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (TURN, "rtc.turn_servers ({}): takes either a secret, or secret_file, or username and credential"),
        (f"{TURN}secret = 'north'\nusername = 'all'\n", "rtc.turn_servers ({}): takes either a secret, or"),
        (f"{TURN}secret = 'north'\nsecret_file = 'file'\n", "rtc.turn_servers ({}): takes either a secret, or"),
        (f"{TURN}username = 'all'\n", "rtc.turn_servers ({}): takes a username with its credential"),
        (f"{TURN}secret = 7\n", "rtc.turn_servers.secret ({}): takes a valid string"),
        (f"{TURN}secret = 'north'\nttl = 5\n", "rtc.turn_servers.ttl ({}): got 5, takes greater than or equal to 60"),
        (f"{TURN}password = 'north'\n", "unknown setting rtc.turn_servers.password ({}): takes host, port, protocol"),
        (f"{TURN}secret = 'north'\n".replace("3478", "0"), "rtc.turn_servers.port ({}): got 0, takes greater than"),
        (f"{TURN}secret = 'north'\n".replace("udp", "sctp"), "rtc.turn_servers.protocol ({}): got 'sctp', takes 'udp'"),
        (f"{TURN}secret = 'north'\n".replace("host", "#"), "rtc.turn_servers.host ({}): takes "),
    ],
)
def test_a_wrong_turn_server_is_one_line_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, content: str, refusal: str
) -> None:
    file = Path("veche.toml")
    file.write_text(content)
    assert refused(file).startswith(refusal.format(file))
    assert "north" not in refused(file)
    monkeypatch.setenv("VECHE_RTC__TURN_SERVERS", json.dumps(tomllib.loads(content)["rtc"]["turn_servers"]))
    assert refused().startswith(refusal.format("VECHE_RTC__TURN_SERVERS"))
    assert "north" not in refused()


def test_presets_of_rooms_come_from_a_table_or_from_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "veche.toml"
    file.write_text(
        "[room.room_configurations.hall]\nempty_timeout = 60\nmax_participants = 500\nmetadata = 'about'\n"
        "[[room.room_configurations.hall.agents]]\nagent_name = 'guide'\nmetadata = 'of the hall'\n"
    )
    made = node_settings.room_settings(load(file).room).room_configurations["hall"]
    assert (made.empty_timeout, made.max_participants, made.metadata) == (60, 500, "about")
    assert [(agent.agent_name, agent.metadata) for agent in made.agents] == [("guide", "of the hall")]
    monkeypatch.setenv("VECHE_ROOM__ROOM_CONFIGURATIONS", '{"quiet": {"departure_timeout": 5}}')
    assert node_settings.room_settings(load().room).room_configurations["quiet"].departure_timeout == 5
