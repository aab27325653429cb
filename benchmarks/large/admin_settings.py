"""Django admin's own change lists over the product's rows, to compare the console's lists with.

Nothing of it is the product's: its templates, its paginator and its orders are Django's.
"""

from medstack.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.large.admin_urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
