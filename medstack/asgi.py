"""Serve pages over HTTP and terminals over WebSocket."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medstack.settings")
http = get_asgi_application()

# Only after Django is set up: the consumer imports models.
from clusters.views.terminal import Terminal  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter([path("terminal/<int:task_pk>/", Terminal.as_asgi())]))
        ),
    }
)
