"""Django's settings. The only module that reads the environment; with none at all, all works."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF

from perfwatch_site.databases import prepared
from perfwatch_site.environment import Environment
from perfwatch_site.secret_key import stored_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(BASE_DIR)

# --- PerfWatch ------------------------------------------------------------------------------

PERFWATCH_HOST = env.text("PERFWATCH_HOST", "127.0.0.1").strip("[]")
PERFWATCH_PORT = env.integer("PERFWATCH_PORT", 8000, 1, 65_535)
PERFWATCH_DATA_DIR = env.data_directory("PERFWATCH_DATA_DIR", BASE_DIR / "var")
PERFWATCH_ADMIN_USERNAME = env.text("PERFWATCH_ADMIN_USERNAME", "admin")
PERFWATCH_ADMIN_PASSWORD = env.text("PERFWATCH_ADMIN_PASSWORD")
PERFWATCH_BASE_URL = env.origin("PERFWATCH_BASE_URL")
HTTPS = PERFWATCH_BASE_URL.startswith("https://")
# gunicorn speaks no TLS: under an https address somebody does it for us, by default on this host.
PERFWATCH_TRUSTED_PROXIES = env.networks(
    "PERFWATCH_TRUSTED_PROXIES", "127.0.0.0/8,::1" if HTTPS else ""
)
PERFWATCH_PROCFS = str(env.procfs("PERFWATCH_PROCFS", Path("/proc")))
PERFWATCH_SYSFS = str(env.directory("PERFWATCH_SYSFS", Path("/sys")))
PERFWATCH_ROOTFS = str(env.directory("PERFWATCH_ROOTFS", Path("/")))
PERFWATCH_SLOW_QUERY_MS = env.integer("PERFWATCH_SLOW_QUERY_MS", 1_000, 1, 3_600_000)
REDIS_URL = env.redis("REDIS_URL")

# --- Django ---------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY") or stored_secret_key(PERFWATCH_DATA_DIR)
_own_hosts = {
    "localhost",
    "127.0.0.1",
    "::1",
    PERFWATCH_HOST,
    socket.gethostname(),
    urlsplit(PERFWATCH_BASE_URL).hostname or "localhost",
}
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS") or sorted(
    f"[{host}]" if ":" in host else host for host in _own_hosts
)
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
ROOT_URLCONF = "perfwatch_site.urls"
WSGI_APPLICATION = "perfwatch_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "perfwatch_site.formats"

INSTALLED_APPS = [
    "metrics",
    "accounts",
    "perfwatch_site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "axes",
]
MIDDLEWARE = [
    "perfwatch_site.head.no_body_for_head",
    "metrics.slow_queries.ScreenMiddleware",
    "perfwatch_site.proxies.TrustedProxyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
# Answers to polls, for two seconds: more of them are of no use.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 30},
    }
}
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
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

# --- Database -------------------------------------------------------------------------------

DATABASES = {
    "default": prepared(env.database("DATABASE_URL", PERFWATCH_DATA_DIR / "perfwatch.sqlite3"))
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # In memory there is no write-ahead log, so tests of locks need a file.
    DATABASES["default"]["TEST"] = {"NAME": str(PERFWATCH_DATA_DIR / "test.sqlite3")}

env.refuse_unknown()

# --- People ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = ["accounts.hashers.BcryptHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "accounts.validators.MaximumBytesValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "accounts.views.locked_out"
AXES_RESET_ON_SUCCESS = True
# The wait that the page names holds, and who goes on trying fills no table.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# Else the log would hide who failed and from where; passwords are hidden always.
AXES_SENSITIVE_PARAMETERS: list[str] = []
# Trusted proxies have been resolved into REMOTE_ADDR by then.
AXES_CLIENT_IP_CALLABLE = "perfwatch_site.proxies.client_address"

# --- Security -------------------------------------------------------------------------------

SESSION_COOKIE_NAME = "__Host-perfwatch" if HTTPS else "perfwatch"
CSRF_COOKIE_NAME = "__Host-perfwatch-csrf" if HTTPS else "perfwatch-csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_SSL_HOST = urlsplit(PERFWATCH_BASE_URL).netloc
    # Health checks reach the process itself, without the proxy that speaks TLS.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
    SECURE_HSTS_SECONDS = 365 * 86_400
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
if PERFWATCH_TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CSRF_FAILURE_VIEW = "perfwatch_site.errors.csrf_failure"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}

# --- Static files ---------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ("png", "gz", "br", "woff2", "map")

# --- Uploads --------------------------------------------------------------------------------

# The one page that takes files has a handler of its own, with bounds.
FILE_UPLOAD_HANDLERS = ["perfwatch_site.uploads.NoFiles"]
# Nothing else may be writable, and a file is moved within a file system at no cost.
FILE_UPLOAD_TEMP_DIR = str(PERFWATCH_DATA_DIR)

# --- Celery ---------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL or "inprocess://localhost/"
CELERY_TASK_IGNORE_RESULT = True
SAMPLING_QUEUE = "sampling"
MAINTENANCE_QUEUE = "maintenance"
CELERY_TASK_DEFAULT_QUEUE = MAINTENANCE_QUEUE
CELERY_TASK_ROUTES = {"metrics.tasks.sample": {"queue": SAMPLING_QUEUE}}
# The worker that does it may be away: what it missed, the next message finds.
CELERY_BEAT_SCHEDULE = {
    "roll-up": {"task": "metrics.tasks.roll_up", "schedule": 60.0, "options": {"expires": 60}},
    # Asked more often than done: once an hour, daily and weekly, whenever the host is on.
    "clean-up": {"task": "metrics.tasks.clean_up", "schedule": 300.0, "options": {"expires": 300}},
    "maintain": {"task": "metrics.tasks.maintain", "schedule": 1800.0, "options": {"expires": 900}},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "metrics.scheduler:SamplingScheduler"
CELERY_BEAT_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# There are none: messages are acknowledged when they arrive. Celery warns of its default.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "socket_timeout": 2,
        "socket_connect_timeout": 2,
        "health_check_interval": 10,
        # Waiting workers ask anew so often; a message reaches them at once all the same.
        "polling_interval": 10,
        # Looks after what does not happen here: late acknowledgements, and changing passwords.
        "unacked_restore_interval": 600,
        "reauth_check_interval": 600,
    }
    if REDIS_URL
    else {}
)
# The next tick comes soon enough; beat must not hang on a broker that is away.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.2}

# --- Logging --------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "perfwatch_site.logs.LineFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "filters": {
        # /readyz says 503 every few seconds while there is nothing to read; that is its answer.
        # A page says it where something was raised, which has to be seen.
        "not_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: (
                record.exc_info or getattr(record, "status_code", None) != 503
            ),
        },
        "once_a_minute": {"()": "perfwatch_site.logs.OncePerMinute"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "perfwatch": {"level": "INFO"},
        # Django's own handlers repeat what the root prints, and write stack traces to mail.
        "django": {"handlers": [], "level": "WARNING"},
        "django.request": {"level": "ERROR", "filters": ["not_503"]},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "axes": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        # They ask a broker that is away every 2 s.
        "celery.worker.consumer.consumer": {"filters": ["once_a_minute"]},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING", "filters": ["once_a_minute"]},
    },
}
