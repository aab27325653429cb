"""The product's own settings, so that a browser sees what people see, but for what is named."""

from medstack.settings import *  # noqa: F403
from medstack.settings import STORAGES

# Nothing is collected first; the files are served from where they lie.
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}
WHITENOISE_USE_FINDERS = True
# No worker looks at the Engines, which are not there: what was seen last stays fresh.
NODE_SILENCE = REFRESH_EVERY = 24 * 3600
