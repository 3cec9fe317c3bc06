"""The command line: serve, migrate, token, API keys, import-livekit-config, doctor."""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from server import app as service
from server import data_folder, doctor, livekit_config, logs, supervisor
from server.api_keys import SCOPES, ApiKeyNotFound, ApiKeys
from server.config import Settings, SettingsError, load
from server.database import Database, newest_revision
from server.texts import WrongInput
from signaling import token as tokens

cli = typer.Typer(
    name="veche",
    help="A video conferencing service that an organisation hosts itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path | None, typer.Option(help="TOML file; by default veche.toml in the data folder.")]
Overrides = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="A setting, over file and variables.")
]

_Found = TypeVar("_Found")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FLAGS = {"true": True, "false": False}


def read_settings(config: Path | None, overrides: list[str]) -> Settings:
    """The settings; ends the program with one line where one is wrong."""
    try:
        return load(config, overrides)
    except SettingsError as error:
        raise refusal(error) from None


def refusal(error: Exception | str) -> typer.Exit:
    """Says on standard error why the command does nothing."""
    print(f"veche: {error}", file=sys.stderr)
    return typer.Exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"veche {service.version()}")
        raise typer.Exit


@cli.callback()
def veche(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A video conferencing service that an organisation hosts itself."""
    os.umask(0o077)  # whatever a command makes, the database above all, is for its owner only


@cli.command()
def serve(config: Config = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Run the service; makes data folder, certificate and first API key where there are none."""
    settings = read_settings(config, overrides)
    logs.configure(settings.log.level, as_json=settings.log.as_json)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(service.run(settings, lambda: load(config, overrides), _announce))
        except SettingsError as error:
            raise refusal(error) from None
        supervisor.end()


def _announce(ready: service.Ready) -> None:
    print(f"Veche {service.version()} is ready.", flush=True)
    print(f"  Open      {ready.address}   (a browser warns of a self-signed certificate: that is this server's own)")
    print(f"  API key   {ready.keys}")
    if ready.set_up:
        print(f"  Accounts  {ready.set_up}   (makes the first administrator, once; meetings need no accounts)")
    print("  Next      press New meeting and send the link; set your own certificate with http.cert and http.key")
    sys.stdout.flush()
    supervisor.tell_ready()


@cli.command()
def migrate(config: Config = None, overrides: Overrides = []) -> None:  # noqa: B006
    """Bring the database to the form that this version needs. `serve` does it by itself."""
    settings = read_settings(config, overrides)

    async def work() -> tuple[str | None, str | None]:
        database = Database(data_folder.database_url(settings))
        try:
            return await database.migrate()
        finally:
            await database.close()

    try:
        data_folder.make(settings)
        before, after = asyncio.run(work())
    except SettingsError as error:
        raise refusal(error) from None
    print(f"database: revision {before or 'none'} -> {after} (newest {newest_revision()})")


@cli.command()
def token(
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006
    room: Annotated[str, typer.Option(help="Room that the token is for; with it, joining is granted.")] = "",
    identity: Annotated[str, typer.Option(help="Stable name within a room.")] = "",
    name: Annotated[str, typer.Option(help="Name that others see.")] = "",
    metadata: Annotated[str, typer.Option(help="Text that others see with the participant.")] = "",
    valid_for: Annotated[str, typer.Option(help="Lifetime, such as 90s, 10m, 6h, 7d.")] = "6h",
    grant: Annotated[
        list[str],
        typer.Option(help="Claim of the video grant, such as roomAdmin or canPublish=false; may be repeated."),
    ] = [],  # noqa: B006
) -> None:
    """Print an access token signed with the first API key."""
    settings = read_settings(config, overrides)
    try:
        keys = data_folder.read_keys(settings)
        if keys is None:
            raise SettingsError(
                f"keys: there are none yet in {settings.data_dir}: start `veche serve` once, or set them"
            )
        video = read_grants(room, grant)
        lifetime = read_lifetime(valid_for)
        if video.room_join and not identity:
            raise SettingsError("--identity: takes the participant's identity in a token that lets somebody join")
    except SettingsError as error:
        raise refusal(error) from None
    grants = tokens.Grants(identity=identity, name=name, metadata=metadata, video=video)
    print(tokens.mint(grants, *service.first(keys.secrets), time.time(), lifetime))


def read_lifetime(text: str) -> float:
    """Seconds of a lifetime such as `10m`. Raises SettingsError."""
    found = re.fullmatch(r"(\d+)([smhd]?)", text)
    if not found or int(found.group(1)) == 0:
        raise SettingsError(f"--valid-for: got {text!r}, takes a number above 0 with s, m, h or d, such as 6h")
    return float(int(found.group(1)) * _UNITS[found.group(2) or "s"])


def read_grants(room: str, claims: list[str]) -> tokens.VideoGrant:
    """The video grant of `--grant` options, in the claim's own spelling or ours. Raises SettingsError."""
    values: dict[str, object] = {"room": room, "room_join": bool(room)}
    known = {field.replace("_", ""): field for field in tokens.VideoGrant.__dataclass_fields__}
    for claim in claims:
        name, _, value = claim.partition("=")
        field = known.get(name.replace("_", "").replace("-", "").lower())
        if field is None:
            raise SettingsError(f"--grant: got {name!r}, takes one of {', '.join(sorted(known.values()))}")
        if field == "can_publish_sources":
            values[field] = tuple(value.split(","))
        elif field in {"room", "destination_room"}:
            values[field] = value
        elif value.lower() in {"", *_FLAGS}:
            values[field] = _FLAGS.get(value.lower(), True)
        else:
            raise SettingsError(f"--grant {name}: got {value!r}, takes true or false")
    make: Callable[..., tokens.VideoGrant] = tokens.VideoGrant
    return make(**values)


@cli.command(name="make-api-key")
def make_api_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do: {', '.join(SCOPES)}; may be repeated.")],
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006
    valid_for: Annotated[str, typer.Option(help="Lifetime, such as 12h, 90d; without it until it is revoked.")] = "",
) -> None:
    """Make a key with which another program uses the API, and print it; it is shown only this once."""
    now = datetime.datetime.now(datetime.UTC)

    async def work(keys: ApiKeys) -> str:
        ends = now + datetime.timedelta(seconds=read_lifetime(valid_for)) if valid_for else None
        return (await keys.make(name, scope, now, ends))[1]

    print(with_api_keys(config, overrides, work))


@cli.command(name="api-keys")
def list_api_keys(config: Config = None, overrides: Overrides = []) -> None:  # noqa: B006
    """List the API keys, without their secrets."""
    found = with_api_keys(config, overrides, lambda keys: keys.list(1000))
    table = Table("Id", "Name", "Scopes", "Works", "Last used", box=None, pad_edge=False)
    now = datetime.datetime.now(datetime.UTC)
    for key in found:
        used = f"{key.used_at:%Y-%m-%d}" if key.used_at else "never"
        table.add_row(key.id, key.name, ", ".join(sorted(key.scopes)), "yes" if key.is_good(now) else "no", used)
    Console(soft_wrap=True).print(table)


@cli.command(name="revoke-api-key")
def revoke_api_key(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `veche api-keys` shows it.")],
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006
) -> None:
    """Revoke an API key: it works no more, at once."""
    now = datetime.datetime.now(datetime.UTC)
    key = with_api_keys(config, overrides, lambda keys: keys.revoke(key_id, now))
    print(f"{key.id} ({key.name}) is revoked")


def with_api_keys(config: Path | None, overrides: list[str], work: Callable[[ApiKeys], Awaitable[_Found]]) -> _Found:
    """Does it in the service's database; ends the program with one line where it can't be done."""
    settings = read_settings(config, overrides)

    async def run() -> _Found:
        database = Database(data_folder.database_url(settings))
        try:
            await database.migrate()
            return await work(ApiKeys(database))
        finally:
            await database.close()

    try:
        data_folder.make(settings)
        return asyncio.run(run())
    except (SettingsError, WrongInput, ApiKeyNotFound) as error:
        raise refusal(error) from None


@cli.command(name="import-livekit-config")
def import_livekit_config(file: Annotated[Path, typer.Argument(help="A livekit.yaml.")]) -> None:
    """Print the settings of a livekit.yaml as TOML for this service; what has no counterpart is named in comments."""
    try:
        print(livekit_config.translate(file.read_text(encoding="utf-8"), str(file)), end="")
    except OSError as error:
        raise refusal(f"{file}: takes a file that can be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise refusal(f"{file}: takes a text in UTF-8") from None
    except SettingsError as error:
        raise refusal(error) from None


@cli.command(name="doctor")
def examine(
    config: Config = None,
    overrides: Overrides = [],  # noqa: B006
    healthy: Annotated[
        bool, typer.Option("--healthy", help="Only ask the running service whether it is well, and say nothing.")
    ] = False,
) -> None:
    """Look whether this machine can run the service: ports, certificate, data folder, database, Redis, engine."""
    settings = read_settings(config, overrides)
    if healthy:
        raise typer.Exit(0 if doctor.is_healthy(settings) else 1)
    findings = asyncio.run(doctor.examine(settings))
    table = Table("", "What", "Found", box=None, pad_edge=False)
    for finding in findings:
        table.add_row("ok" if finding.well else "FAIL", finding.what, finding.text)
    Console(soft_wrap=True).print(table)
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry of the installed command."""
    cli()


if __name__ == "__main__":
    main()
