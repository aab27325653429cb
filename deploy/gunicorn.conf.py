"""How gunicorn serves the console; the address comes from who starts it."""

from typing import Any

from gunicorn.glogging import Logger

from medstack.children import end_with_parent
from medstack.redaction import Formatter


class Redacting(Logger):  # type: ignore[misc]
    """Write gunicorn's and its workers' lines without credentials, such as an invitation's link."""

    def setup(self, cfg: Any) -> None:
        """Give each handler a formatter that redacts, with the words of its own."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            own = handler.formatter
            assert own is not None
            handler.setFormatter(Formatter(own._fmt, own.datefmt))


logger_class = Redacting
worker_class = "uvicorn_worker.UvicornWorker"
workers = 2
# Requests have so many seconds to end when it is asked to stop.
graceful_timeout = 10
# Only the proxy that the settings name is believed; see TRUSTED_PROXIES.
forwarded_allow_ips = ""
control_socket_disable = True
accesslog = "-"

# A worker that outlived a killed gunicorn would keep the port from the next one.
end_with_parent()
