"""A livekit.yaml becomes our TOML: it loads, says what it said, and names what it could not take over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from server.__main__ import cli
from server.config import Settings, SettingsError, load
from server.livekit_config import REASONS, RULES, SECTIONS, translate

SECRET = "0123456789abcdef0123456789abcdef"
WHOLE = f"""
port: 7890
bind_addresses: [127.0.0.1]
keys:
  APIone: {SECRET}
  devkey: secret
key_file: keys.yaml
region: north
development: false
prometheus: {{port: 6789, username: admin, password: hunter2}}
logging: {{level: warn, json: true, sample: true, pion_level: error}}
rtc:
  port_range_start: 50000
  port_range_end: 60000
  udp_port: 7000-7010
  tcp_port: 7001
  use_external_ip: true
  node_ip: 192.0.2.7
  external_ip_only: true
  advertise_internal_ip: true
  use_ice_lite: true
  stun_servers: [192.0.2.9:3478]
  turn_servers:
    - {{host: turn, port: 443, protocol: tls, secret: north, ttl: 600, username: ""}}
    - {{host: turn, port: 3478, username: all, credential: word, priority: 1}}
    - {{host: turn, port: 3478, secret_file: /run/secret}}
  interfaces: {{includes: [eth0], excludes: [docker0]}}
  ips: {{includes: [192.0.2.0/24]}}
  enable_loopback_candidate: true
  use_mdns: true
  force_tcp: false
  allow_tcp_fallback: true
  tcp_fallback_rtt_threshold: 500
  packet_buffer_size_video: 500
  packet_buffer_size_audio: 200
  pli_throttle: {{low_quality: 500ms, mid_quality: 1s, high_quality: 1s}}
  congestion_control: {{enabled: true, allow_pause: false, use_send_side_bwe: true}}
  reconnect_on_publication_error: true
  reconnect_on_subscription_error: true
  reconnect_on_data_channel_error: true
  datachannel_slow_threshold: 21000
  datachannel_lossy_target_latency: 1s
  datachannel_data_track_target_latency: 100ms
  batch_io: {{batch_size: 128, max_flush_interval: 2ms}}
room:
  auto_create: false
  enabled_codecs: [{{mime: video/h264}}, {{mime: audio/opus}}, {{mime: video/H265}}, {{mime: video/rtx}}]
  max_participants: 12
  empty_timeout: 60
  departure_timeout: 7
  enable_remote_unmute: true
  playout_delay: {{enabled: true, min: 100, max: 2000}}
  sync_streams: true
  room_configurations:
    hall:
      name: hall
      empty_timeout: 90
      metadata: 'the "hall" \u2014 вече'
      agents: [{{agent_name: guide, metadata: of the hall, deployment: blue}}]
      egress: {{room: {{}}}}
  enable_full_room_in_webhooks: true
  update_batch_target_size: 131072
audio: {{active_level: 35, min_percentile: 40, update_interval: 400, smooth_intervals: 2,
        active_red_encoding: true, enable_loss_proxying: true}}
video: {{dynacast_pause_delay: 5s, codec_regression_threshold: 5}}
turn: {{enabled: true, domain: turn, cert_file: c, key_file: k, tls_port: 443, udp_port: 3478, external_tls: true,
       relay_range_start: 30000, relay_range_end: 40000, ttl_seconds: 300, per_user_relay_allocation_limit: 12}}
limit:
  num_tracks: 5000
  bytes_per_sec: 1000000000.0
  subscription_limit_video: 20
  subscription_limit_audio: 30
  max_metadata_size: 1000
  max_attributes_size: 1001
  max_room_name_length: 100
  max_participant_identity_length: 101
  max_participant_name_length: 102
  signal_message_size_limit: 1000
redis: {{address: "127.0.0.1:6379", username: veche, password: "p@ss word", db: 3, use_tls: true,
        sentinel_master_name: m, sentinel_addresses: [a], cluster_addresses: [b]}}
webhook:
  api_key: APIone
  urls: ["http://127.0.0.1:9000/hook"]
  filter_params: {{include_events: [room_started], exclude_events: [egress_ended]}}
node_selector: {{kind: any, sort_by: random}}
signal_relay: {{retry_timeout: 7500ms}}
psrpc: {{max_attempts: 3}}
ingress: {{rtmp_base_url: a, whip_base_url: b}}
agents: {{enable_user_data_recording: false}}
enable_data_tracks: true
enable_participant_data_blob: true
"""
NO_SUCH_TABLE = "[http]\nport=1"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("VECHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Settings:
    """The settings that our own reader takes from what is printed."""
    path = Path("made.toml")
    path.write_text(translate(text, "livekit.yaml"), encoding="utf-8")
    return load(path)


def refused(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        translate(text, "livekit.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_printed_loads_and_says_the_same() -> None:
    read = loaded(WHOLE)
    assert (read.http.port, read.http.host, read.metrics.port) == (7890, "127.0.0.1", 6789)
    assert read.keys == {"APIone": SECRET}
    assert (read.log.level, read.log.as_json) == ("warning", True)
    assert (read.rtc.udp_port, read.rtc.tcp_port, read.rtc.addresses) == (7000, 7001, ("192.0.2.7",))
    assert (read.rtc.allow_pause, read.rtc.datachannel_slow_threshold) == (False, 21000)
    first, second, third = read.rtc.turn_servers
    assert (first.host, first.port, first.protocol, first.secret, first.ttl) == ("turn", 443, "tls", "north", 600)
    assert (second.protocol, second.username, second.credential) == ("tcp", "all", "word")
    assert (third.secret, third.secret_file) == ("", Path("/run/secret"))
    room = read.room
    assert (room.auto_create, room.max_participants, room.empty_timeout, room.departure_timeout) == (False, 12, 60, 7)
    assert room.enabled_codecs == ("video/H264", "audio/opus")
    assert room.enable_remote_unmute
    assert room.enable_full_room_in_webhooks
    hall = room.room_configurations["hall"]
    assert (hall.empty_timeout, hall.metadata) == (90, 'the "hall" — вече')
    assert [(agent.agent_name, agent.metadata) for agent in hall.agents] == [("guide", "of the hall")]
    limit = read.limit
    assert (limit.num_tracks, limit.bytes_per_sec) == (5000, 1_000_000_000)
    assert (limit.subscription_limit_video, limit.subscription_limit_audio) == (20, 30)
    assert (limit.max_metadata_size, limit.max_attributes_size, limit.max_room_name_length) == (1000, 1001, 100)
    assert (limit.max_participant_identity_length, limit.max_participant_name_length) == (101, 102)
    assert limit.signal_message_size_limit == 65536
    assert read.redis.url == "rediss://veche:p%40ss%20word@127.0.0.1:6379/3"
    assert (read.webhook.api_key, read.webhook.urls) == ("APIone", ("http://127.0.0.1:9000/hook",))
    assert read.webhook.filter_params.include_events == ("room_started",)
    assert read.webhook.filter_params.exclude_events == ("egress_ended",)
    assert read.enable_participant_data_blob


def keys_of(table: object, prefix: str = "") -> set[str]:
    """All places of the file, down to where a rule or a reason takes over."""
    assert isinstance(table, dict)
    found: set[str] = set()
    for name, value in table.items():
        key = f"{prefix}{name}"
        found |= keys_of(value, f"{key}.") if key in SECTIONS and isinstance(value, dict) else {key}
    return found


def test_every_key_is_translated_or_named_with_a_reason() -> None:
    remarks = translate(WHOLE, "livekit.yaml").partition("# Not taken over as it was:")[2]
    for key in keys_of(yaml.safe_load(WHOLE)) - RULES.keys():
        assert f"#   {key}: " in remarks, key
    assert "no key of LiveKit's" not in remarks
    assert "room.room_configurations.hall.egress: no counterpart" in remarks
    assert "room.room_configurations.hall.agents.deployment: no counterpart" in remarks
    assert "video/H265" in remarks


def test_no_secret_that_is_not_taken_over_is_printed() -> None:
    printed = translate(WHOLE, "livekit.yaml")
    assert "hunter2" not in printed
    assert "keys.devkey: its secret has less than 32 bytes" in printed
    assert "rtc.turn_servers[1].priority: no counterpart" in printed


def test_no_rule_or_reason_is_out_of_reach() -> None:
    """One below a table that is not gone through would never be used."""
    for key in [*RULES, *REASONS]:
        above = key.rpartition(".")[0]
        assert not above or above in SECTIONS, key


def test_an_empty_file_keeps_livekits_port() -> None:
    assert loaded("").http.port == 7880
    assert loaded("rtc:\nroom:\n").http.port == 7880


def test_unknown_keys_are_named_and_nothing_leaves_its_comment() -> None:
    odd = json.dumps(NO_SUCH_TABLE)
    printed = translate(f"nonsense: 1\n{odd}: 2\nrtc: {{other: 1}}\n", "livekit.yaml")
    assert "#   nonsense: no key of LiveKit's that is known here" in printed
    assert "#   rtc.other: no key" in printed
    assert NO_SUCH_TABLE not in printed
    assert loaded(f"{odd}: 2\n").http.port == 7880


@pytest.mark.parametrize("text", ["\x7f", 'quote " and \\ and \n', "вече 🎥", "'''", "\t"])
def test_texts_survive(text: str) -> None:
    given = yaml.safe_dump({"room": {"room_configurations": {text: {"metadata": text}}}}, allow_unicode=True)
    assert loaded(given).room.room_configurations[text].metadata == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "livekit.yaml: takes YAML: line 1: "),
        ("a: 1\nb: {\n", "livekit.yaml: takes YAML: line 3: "),
        ("a: !!python/object:os.system x", "livekit.yaml: takes YAML: line 1: could not determine a constructor"),
        ("- a\n- b", "livekit.yaml: got a list, takes a YAML mapping of LiveKit's settings"),
        ("just text", "livekit.yaml: got a str, takes a YAML mapping"),
        ("rtc: 7", "livekit.yaml: rtc: got 7, takes a table"),
        ("port: 99999999", "livekit.yaml: port: got 99999999, takes less than or equal to 65535"),
        ("port: many", "livekit.yaml: port: got 'many', takes a valid integer"),
        ("rtc: {udp_port: a-b}", "livekit.yaml: rtc.udp_port: got 'a-b', takes a valid integer"),
        ("rtc: {node_ip: host}", "livekit.yaml: rtc.node_ip: got "),
        ("rtc: {turn_servers: turn}", "livekit.yaml: rtc.turn_servers: takes a list of tables with host, port"),
        ("rtc: {turn_servers: [{host: turn, port: 1, secret: s, ttl: 5}]}", "livekit.yaml: rtc.turn_servers: got 5,"),
        ("rtc: {turn_servers: [{host: turn, port: 1}]}", "livekit.yaml: rtc.turn_servers: takes either a secret"),
        ("room: {empty_timeout: -1}", "livekit.yaml: room.empty_timeout: got -1, takes greater than or equal to 0"),
        ("room: {room_configurations: [1]}", "livekit.yaml: room.room_configurations: takes a table of presets"),
        ("room: {room_configurations: {a: {agents: 1}}}", "livekit.yaml: room.room_configurations.a.agents: takes"),
        ("room: {room_configurations: {a: {empty_timeout: x}}}", "livekit.yaml: room.room_configurations"),
        ("keys: [a]", "livekit.yaml: keys: got list, takes a table of API keys"),
        (f"keys: {{'a b': {SECRET}}}", "livekit.yaml: keys: takes names of 1 to 128 letters"),
        ("webhook: {urls: [ftp://a]}", "livekit.yaml: webhook.urls: takes addresses that begin with http://"),
        ('room: {room_configurations: {"\\ud800": {}}}', "livekit.yaml: takes valid Unicode"),
    ],
)
def test_what_can_not_be_read_is_one_line(text: str, says: str) -> None:
    assert refused(text).startswith(says)


def test_the_command_prints_it_or_says_why_not(tmp_path: Path) -> None:
    file = tmp_path / "livekit.yaml"
    file.write_text(f"port: 7890\nkeys: {{one: {SECRET}}}\n")
    done = CliRunner().invoke(cli, ["import-livekit-config", str(file)])
    assert done.exit_code == 0
    assert done.stdout == translate(file.read_text(), str(file))
    file.write_text("a: [")
    done = CliRunner().invoke(cli, ["import-livekit-config", str(file)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"veche: {file}: takes YAML: line 1")
    file.write_bytes(b"\xff\xfe")
    assert CliRunner().invoke(cli, ["import-livekit-config", str(file)]).stderr.endswith("takes a text in UTF-8\n")
    missing = tmp_path / "none"
    done = CliRunner().invoke(cli, ["import-livekit-config", str(missing)])
    assert done.exit_code == 2
    assert done.stderr == f"veche: {missing}: takes a file that can be read: No such file or directory\n"
