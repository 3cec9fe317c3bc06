"""Drawing pages: templates, texts in the reader's language, what a page loads, and who is signed in."""

from __future__ import annotations

import secrets
from gettext import NullTranslations
from pathlib import Path

import jinja2
from aiohttp import web
from yarl import URL

from server.api.requests import LOCAL_HOSTS, Callers
from server.pages import language
from server.pages.assets import Assets, ClientNotBuilt
from server.problems import SignInEnded, problem_of
from server.sign_in import can_sign_in, known_account

TEMPLATES = Path(__file__).parents[1] / "templates"
LOCALE_AGE = 400 * 24 * 3600
"""Seconds."""
FORM_COOKIE = "veche_form"
"""Holds what a form of ours must say again: no other site can read it, nor make a browser send both (CSRF)."""


# One of each for a process: every environment compiles its templates anew.
_HTML = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PLAIN = _HTML.overlay(autoescape=False)


class Renderer:
    """Draws pages. `tls_port` 0: there is no HTTPS to redirect to."""

    def __init__(self, callers: Callers, assets: Assets, tls_port: int, version: str) -> None:
        self._callers = callers
        self._assets = assets
        self._tls_port = tls_port
        self.version = version
        """The service's."""
        self._translations = language.translations()

    def page(self, request: web.Request, template: str, status: int = 200, **values: object) -> web.Response:
        """One of our pages outside a meeting."""
        return self.render(request, template, status, entry=self._entry(), **values)

    def render(self, request: web.Request, template: str, status: int = 200, **values: object) -> web.Response:
        """A template with its values; `entry` is what it loads of the client."""
        locale = self.locale(request)
        form = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(16)
        again = _again(request)
        switch = {other: str(again.update_query({language.PARAMETER: other})) for other in language.LANGUAGES}
        html = _HTML.get_template(template).render(
            _=self.texts(locale).gettext,
            ngettext=self.texts(locale).ngettext,
            locale=locale,
            switch=switch,
            version=self.version,
            account=known_account(request),
            can_sign_in=can_sign_in(request),
            form_token=form,
            **values,
        )
        response = web.Response(text=html, status=status, content_type="text/html")
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Language"] = locale
        response.headers["Vary"] = "Accept-Language, Cookie"
        if request.query.get(language.PARAMETER) == locale:
            response.set_cookie(language.COOKIE, locale, max_age=LOCALE_AGE, httponly=True, samesite="Lax")
        if f'value="{form}"' in html:
            secure = self._callers.base(request).scheme == "https"
            response.set_cookie(FORM_COOKIE, form, httponly=True, samesite="Lax", secure=secure)
            response.headers["Cache-Control"] = "no-store"
            # Without any referrer browsers hide the origin of a form, too; to other sites it is not told either way.
            response.headers["Referrer-Policy"] = "same-origin"
        return response

    def problem(self, request: web.Request, error: Exception) -> web.Response:
        """What went wrong, for people."""
        found = problem_of(error)
        if isinstance(error, SignInEnded):
            values = {"onward": request.path, "email": "", "problem": "", "kept": error.kept}
            return self.page(request, "sign_in.html", found.status, **values)
        return self.page(request, "problem.html", found.status, problem=found.code)

    def mail(self, request: web.Request, template: str, **values: object) -> tuple[str, str]:
        """Subject and text of a letter in the reader's language."""
        return self.letter(self.locale(request), template, **values)

    def letter(self, locale: str, template: str, **values: object) -> tuple[str, str]:
        """Subject and text of a letter in a language; the template's first line is the subject."""
        written = _PLAIN.get_template(f"mail/{template}").render(_=self.texts(locale).gettext, **values)
        subject, _, text = written.partition("\n")
        return subject, text

    def lines(self, request: web.Request, template: str, **values: object) -> list[str]:
        """Texts for a file, one a line of the template."""
        return _PLAIN.get_template(template).render(_=self.texts(self.locale(request)).gettext, **values).splitlines()

    def texts(self, locale: str) -> NullTranslations:
        """The texts of a language."""
        return self._translations[locale]

    def locale(self, request: web.Request) -> str:
        """The reader's language."""
        return language.choose(request.query, request.cookies, request.headers.get("Accept-Language", ""))

    def to_https(self, request: web.Request) -> None:
        """Raises the redirect: over plain HTTP a browser gives no camera, unless the host is this machine."""
        base = self._callers.base(request)
        if base.scheme == "https" or not self._tls_port or base.host in LOCAL_HOSTS:
            return
        target = base.with_scheme("https").with_port(self._tls_port).join(request.rel_url)
        raise web.HTTPTemporaryRedirect(target, headers={"Cache-Control": "no-store"})

    def _entry(self) -> object:
        try:
            return self._assets.entry("src/pages/landing.ts")
        except ClientNotBuilt:
            return None


def _again(request: web.Request) -> URL:
    """Where a link leads to this page: what answers forms alone is left for the page that such forms stand on."""
    resource = request.match_info.route.resource
    if resource is None or any(route.method in ("GET", "*") for route in resource):
        return request.rel_url
    return URL.build(path="/" + request.path.split("/")[1])
