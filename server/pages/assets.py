"""The built browser client under /assets/, and what a page must load of it, by Vite's manifest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

DIST = Path(__file__).parents[2] / "static" / "dist"
PREFIX = "/assets/"
YEAR = 365 * 24 * 3600
HASHED = re.compile(r"-[\w-]{8}\.\w+$")
"""Vite's names end in a hash of the content: such a file never changes."""


class ClientNotBuilt(Exception):
    """There is no manifest: `make build` has not run."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Addresses that a page loads for one entry of the client."""

    script: str
    styles: tuple[str, ...]
    preloads: tuple[str, ...]


class Assets:
    """Reads the manifest again when it has changed, so that a rebuilt client is served without a restart."""

    def __init__(self, dist: Path = DIST) -> None:
        self._dist = dist.resolve()
        self._read_at = -1
        self._manifest: dict[str, dict[str, object]] = {}

    def entry(self, source: str) -> Entry:
        """What the entry `source` (such as `src/main.tsx`) needs, its imports included. Raises ClientNotBuilt."""
        manifest = self._current_manifest()
        if source not in manifest:
            raise ClientNotBuilt(f"the client has no entry {source}: run make build")
        chunks = [source]
        for chunk in chunks:  # grows while it is walked: imports of imports
            chunks += [name for name in _names(manifest[chunk].get("imports")) if name not in chunks]
        styles = [style for chunk in chunks for style in _names(manifest[chunk].get("css"))]
        files = [PREFIX + str(manifest[chunk]["file"]) for chunk in chunks]
        return Entry(files[0], tuple(PREFIX + style for style in dict.fromkeys(styles)), tuple(files[1:]))

    def built(self, source: str) -> Path:
        """The file that an entry became. Raises ClientNotBuilt."""
        return self._dist / self.entry(source).script.removeprefix(PREFIX)

    def routes(self) -> list[web.RouteDef]:
        """GET /assets/..."""
        return [web.get(PREFIX + "{path:.+}", self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A file of dist/, its .br or .gz neighbour where the client takes that; hidden files are not served."""
        try:
            path = (self._dist / request.match_info["path"]).resolve()
            inside = path.is_relative_to(self._dist) and path.is_file()
        except (ValueError, OSError):  # a NUL, or too long for a name
            raise web.HTTPNotFound(text="not found") from None
        if not inside or any(part.startswith(".") for part in path.relative_to(self._dist).parts):
            raise web.HTTPNotFound(text="not found")
        steady = HASHED.search(path.name)
        control = f"public, max-age={YEAR}, immutable" if steady else "no-cache"
        return web.FileResponse(path, headers={"Cache-Control": control})

    def _current_manifest(self) -> dict[str, dict[str, object]]:
        path = self._dist / ".vite" / "manifest.json"
        try:
            changed_at = path.stat().st_mtime_ns
            if changed_at != self._read_at:
                self._manifest = json.loads(path.read_text())
                self._read_at = changed_at
        except (OSError, ValueError):
            raise ClientNotBuilt("the browser client is not built: run make build") from None
        return self._manifest


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []
