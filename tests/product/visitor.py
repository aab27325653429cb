"""Somebody who is signed in and uses the pages by HTTP, as a browser without JavaScript does."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.engines.acting import form_on, problems_on

TIMEOUT = 60
CONFIRM = "/account/confirm/"


class Unanswered(Exception):
    """The console was not there to answer."""


class Visitor:
    """A session with the console."""

    def __init__(self, url: str, cookies: Mapping[str, str], *, password: str = "") -> None:
        self.url, self.password = url, password
        self.session = requests.Session()
        for name, value in cookies.items():
            self.session.cookies.set(name, value, domain="127.0.0.1", path="/")

    def get(self, path: str) -> requests.Response:
        """Open a page; it may be away, but it may not be broken."""
        return self._send("GET", path)

    def post(self, path: str, fields: Mapping[str, Any] | None = None) -> requests.Response:
        """Send a form and return the first answer: a redirection where all was well.

        Some time after the sign-in people are asked once more who they are; they say it.
        """
        answer = self._post(path, fields or {})
        if self.password and CONFIRM in answer.headers.get("Location", ""):
            self._post(CONFIRM, {"password": self.password})
            answer = self._post(path, fields or {})
        return answer

    def _post(self, path: str, fields: Mapping[str, Any]) -> requests.Response:
        token = self.session.cookies.get("csrftoken", "")
        data = {**fields, "csrfmiddlewaretoken": token}
        return self._send("POST", path, data=data, allow_redirects=False)

    def fill_in(self, path: str, field: str, **typed: Any) -> requests.Response:
        """Send the form that has this field; what is not typed stays as the page offers it."""
        offered = form_on(self.get(path).text, field)
        return self.post(path, {**offered, **typed})

    def _send(self, method: str, path: str, **values: Any) -> requests.Response:
        try:
            response = self.session.request(method, self.url + path, timeout=TIMEOUT, **values)
        except requests.RequestException as error:
            raise Unanswered(str(error)) from error
        if response.status_code >= 500:
            raise Unanswered(f"{response.status_code} for {path}")
        return response


def accepted(response: requests.Response) -> requests.Response:
    """Return an answer that leads on; else fail with what the page says."""
    assert response.status_code == 302, (response.status_code, problems_on(response.text))
    assert not {"/sign-in/", CONFIRM} & {urlsplit(response.headers["Location"]).path}
    return response


def operation_in(response: requests.Response) -> str:
    """Return the path of the operation that an answer leads to, if it does."""
    found = re.search(r"/operations/\d+/", response.headers.get("Location", ""))
    return found[0] if found else ""
