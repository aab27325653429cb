"""All settings, read from the environment; docs/operating.md has the table."""

import sys
from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext

from medstack import env

# Forms and fields can name their types (ModelForm[Registry]) while the program runs, too.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
STATE_DIR = Path(env.text("MEDSTACK_STATE", str(BASE_DIR / "var"))).resolve()

DEBUG = env.boolean("MEDSTACK_DEBUG")

SECRET_KEY_FILE = Path(env.text("MEDSTACK_SECRET_KEY_FILE", str(STATE_DIR / "keys" / "secret_key")))
FIELD_KEYS_FILE = Path(env.text("MEDSTACK_FIELD_KEYS_FILE", str(STATE_DIR / "keys" / "field_keys")))
SIGNING_KEY_FILE = Path(
    env.text("MEDSTACK_SIGNING_KEY_FILE", str(STATE_DIR / "keys" / "signing_key"))
)
if "init_keys" in sys.argv:
    # The one command that runs before the keys exist: it makes them.
    SECRET_KEY, SECRET_KEY_FALLBACKS, FIELD_KEYS = "only-while-the-keys-are-made", [], [""]
else:
    SECRET_KEY, *SECRET_KEY_FALLBACKS = env.secret_lines(
        "MEDSTACK_SECRET_KEY_FILE", SECRET_KEY_FILE
    )
    FIELD_KEYS = env.secret_lines("MEDSTACK_FIELD_KEYS_FILE", FIELD_KEYS_FILE)

ALLOWED_HOSTS = env.words("MEDSTACK_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("MEDSTACK_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "medstack",
    "clusters",
    "backups",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "django_q",
    "channels",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "medstack.middleware.content_security_policy",
    "medstack.middleware.without_null_characters",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "medstack.middleware.signed_in_with_own_password",
    "medstack.middleware.signed_in_with_second_factor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "medstack.urls"
ASGI_APPLICATION = "medstack.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "medstack.access.page_context",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

DATABASES: dict[str, Any] = {
    "default": dj_database_url.config(default=f"sqlite:///{STATE_DIR / 'db.sqlite3'}")
}
if DATABASE_PASSWORD_FILE := env.text("MEDSTACK_DATABASE_PASSWORD_FILE", ""):
    DATABASES["default"]["PASSWORD"] = Path(DATABASE_PASSWORD_FILE).read_text().strip()
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # A file, so that tests can let a real worker process work on it.
    DATABASES["default"]["TEST"] = {"NAME": STATE_DIR / "test.sqlite3"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "medstack.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "account_login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("MEDSTACK_STATIC_ROOT", str(STATE_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or "pytest" in sys.modules
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# HTTPS is the proxy's work; without one (the quick start on loopback) cookies must still travel.
HTTPS = env.boolean("MEDSTACK_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "django.contrib.auth.backends.ModelBackend",
]
ACCOUNT_ADAPTER = "medstack.identity.Accounts"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# Who was sure of themselves a moment ago is not asked again before the next deletion.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
# Guesses: 5 in 5 minutes for one account, wherever they come from; 20 a minute from one address.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "login_failed": "20/m/ip,5/5m/key",
    "reauthenticate": "5/m/user",
}
# Programs, in a minute: wrong tokens from one address, and requests with one token.
API_GUESSES, API_CALLS = 20, 600
# Who shows one of these may read the numbers of the whole installation; without a file, nobody.
METRICS_TOKEN_FILE = env.text("MEDSTACK_METRICS_TOKEN_FILE", "")
METRICS_TOKENS = (
    env.secret_lines("MEDSTACK_METRICS_TOKEN_FILE", Path(METRICS_TOKEN_FILE))
    if METRICS_TOKEN_FILE
    else []
)
MFA_ADAPTER = "medstack.identity.SecondFactors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "MedStack Control"
MFA_TOTP_TOLERANCE = 1
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
# Attempts are counted for all processes together.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "medstack_cache",
    }
}
SESSION_SERIALIZER = "medstack.crypto.EncryptedSerializer"
# Uploaded configs and secrets stay in memory: their values never touch a disk in clear.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
TRUSTED_PROXIES = env.networks("MEDSTACK_TRUSTED_PROXIES")

Q_CLUSTER = {
    "name": "medstack",
    "orm": "default",
    "workers": 4,
    # A task is a short step; whatever takes longer comes back later, so a hung one is killed.
    "timeout": 120,
    "retry": 150,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "bulk": 1,
    "queue_limit": 4,
    "poll": 0.3,
    "save_limit": -1,
    "scheduler": False,
    "label": "Queue",
}

# A node counts as down when it has not answered for this many seconds.
NODE_SILENCE = 45
REFRESH_EVERY = 15

# Invitations and alarms; without a host, letters are only written into the log.
EMAIL_HOST = env.text("MEDSTACK_EMAIL_HOST", "")
EMAIL_PORT = int(env.text("MEDSTACK_EMAIL_PORT", "587"))
EMAIL_HOST_USER = env.text("MEDSTACK_EMAIL_USER", "")
EMAIL_PASSWORD_FILE = env.text("MEDSTACK_EMAIL_PASSWORD_FILE", "")
EMAIL_HOST_PASSWORD = Path(EMAIL_PASSWORD_FILE).read_text().strip() if EMAIL_PASSWORD_FILE else ""
EMAIL_USE_TLS = env.boolean("MEDSTACK_EMAIL_TLS", default=True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("MEDSTACK_EMAIL_FROM", "medstack@localhost")
EMAIL_BACKEND = "django.core.mail.backends.{}.EmailBackend".format(
    "smtp" if EMAIL_HOST else "console"
)
# How letters link to the pages.
PUBLIC_URL = env.text("MEDSTACK_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")

LOCAL_NODES_ROOT = Path(env.text("MEDSTACK_LOCAL_ROOT", "/var/lib/medstack/nodes"))
LOCAL_NODES_BRIDGE = env.text("MEDSTACK_LOCAL_BRIDGE", "medstack0")
LOCAL_NODES_SUBNET = env.text("MEDSTACK_LOCAL_SUBNET", "10.83.0.0/24")
# Whether clusters are protected; tests of other things switch it off.
BACKUPS = env.boolean("MEDSTACK_BACKUPS", default=True)
# The embedded repositories: their folder, and where their server listens for the nodes.
REPOSITORIES_ROOT = Path(env.text("MEDSTACK_REPOSITORIES_ROOT", str(STATE_DIR / "repositories")))
REPOSITORY_PORT = int(env.text("MEDSTACK_REPOSITORY_PORT", "8200"))
# By which address nodes reach it; empty: the local nodes' bridge.
REPOSITORY_HOST = env.text("MEDSTACK_REPOSITORY_HOST", "")
# Where it listens; empty: on loopback and on that address.
REPOSITORY_LISTEN = env.words("MEDSTACK_REPOSITORY_LISTEN")
# JSON: where the console itself is backed up, and what is needed to be let in there.
CONSOLE_BACKUP_FILE = env.text("MEDSTACK_CONSOLE_BACKUP_FILE", "")
# Whether backups are proven by themselves, each volume once a week.
SCHEDULED_DRILLS = env.boolean("MEDSTACK_SCHEDULED_DRILLS", default=True)
# In which days, weeks and months of retention end.
POLICY_ZONE = env.text("MEDSTACK_POLICY_ZONE", "UTC")
# Sockets of this machine, or folders with some, that may be attached as nodes' endpoints.
UNIX_ENDPOINTS = env.words("MEDSTACK_UNIX_ENDPOINTS")
# The agent's image; empty: made here and loaded into the nodes.
AGENT_IMAGE = env.text("MEDSTACK_AGENT_IMAGE", "")
# Which name server says where domains lead; empty: the system's.
DNS_SERVER = env.text("MEDSTACK_DNS_SERVER", "")
# Whether an ACME directory may be on this machine or in a private network (tests, own CAs).
PRIVATE_ACME = env.boolean("MEDSTACK_PRIVATE_ACME")
# Lab only: an unencrypted internal network, for kernels without ESP. Shown as non-compliant.
LAB_PLAIN_NETWORK = env.boolean("MEDSTACK_LAB_PLAIN_NETWORK")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "medstack.redaction.Formatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django-q": {"level": "WARNING"}},
}
