"""Every setting of the product, read from the environment. docs/operations.md lists them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from redis.backoff import NoBackoff
from redis.retry import Retry

from transcribe_site import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).resolve()

MIB = 1024 * 1024
DAY_S = 24 * 3600

# --- The site ------------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", default=False)
if not env.text("SECRET_KEY") and (DATA_DIR / "secret_key").is_file():
    # The one that `make run` made, so that `manage.py` works beside it.
    os.environ["SECRET_KEY_FILE"] = str(DATA_DIR / "secret_key")
SECRET_KEY = (
    env.text("SECRET_KEY", "development only, never for a site that others reach")
    if DEBUG
    else env.required("SECRET_KEY", "a long random string that stays the same. `make run` makes one.")
)
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")

# True unless someone says that the site is reached by plain http (as on one's own machine).
HTTPS = env.boolean("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "transcribe_site.error_pages.csrf_failed"
SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", 365 * DAY_S) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# Health checks come from inside, by plain http.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
BEHIND_PROXY = env.boolean("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "sessions_app.session_store"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "media-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

INSTALLED_APPS = [
    "sessions_app",
    "jobs_app",
    "transcribe_site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "transcribe_site.slashes.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "sessions_app.timezones.TimeZoneMiddleware",
]

ROOT_URLCONF = "transcribe_site.urls"
ASGI_APPLICATION = "transcribe_site.asgi.application"

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
                "sessions_app.context.site",
            ],
        },
    },
]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = True

SITE_NAME = env.text("SITE_NAME", "Transcribe")

# --- People --------------------------------------------------------------------------------------

SIGN_UP = env.boolean("SIGN_UP", default=True)
LOGIN_URL = reverse_lazy("login")
LOGIN_REDIRECT_URL = reverse_lazy("home")
LOGOUT_REDIRECT_URL = reverse_lazy("login")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Database ------------------------------------------------------------------------------------

IS_WORKER = "qcluster" in sys.argv or "jobrunner" in sys.argv
DATABASE_URL = env.text("DATABASE_URL")
DATABASE = env.database(DATABASE_URL) if DATABASE_URL else env.sqlite(DATA_DIR / "db.sqlite3")
DATABASES = {
    "default": {
        **DATABASE,
        # Under ASGI each request has its own thread, so a kept connection would never be used again.
        "CONN_MAX_AGE": 300 if IS_WORKER else 0,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Uploads -------------------------------------------------------------------------------------

# Beside the audio, so that a finished upload is moved, not copied.
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "tmp"
FILE_UPLOAD_HANDLERS = ["sessions_app.upload_handler.HashingUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o640
# Of a request without its files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MIB
MAX_UPLOAD_BYTES = env.number("MAX_UPLOAD_MB", 2048, at_least=1) * MIB
MAX_CHUNK_BYTES = env.number("MAX_CHUNK_MB", 100, at_least=1) * MIB
# Of one recording.
MAX_CHUNKS = env.number("MAX_CHUNKS", 10_000, at_least=1)
MAX_AUDIO_S = env.number("MAX_AUDIO_HOURS", 12, at_least=1) * 3600
# Refuse uploads while less than this would stay free.
MIN_FREE_DISK_BYTES = env.number("MIN_FREE_DISK_MB", 500) * MIB
# A piece of a recording that is missing while later ones are there is waited for so long.
CHUNK_WAIT_S = env.number("CHUNK_WAIT_S", 60, at_least=0)
# A recording that nothing comes of for so long is finished with what has come.
ABANDONED_AFTER_S = env.number("ABANDONED_AFTER_S", 900, at_least=1)
# The length of the pieces in which the recorder page sends.
RECORDER_CHUNK_S = env.number("RECORDER_CHUNK_S", 30, at_least=5, at_most=120)
# What an upload that broke off may leave is removed after this time.
ORPHAN_AFTER_S = env.number("ORPHAN_AFTER_HOURS", 24, at_least=1) * 3600
# A resumable upload that nothing more comes of is removed after this time.
UPLOAD_EXPIRES_S = env.number("UPLOAD_EXPIRES_HOURS", 24, at_least=1) * 3600
# Of one person.
TUS_MAX_UNFINISHED = env.number("TUS_MAX_UNFINISHED", 20, at_least=1)

# --- Speech --------------------------------------------------------------------------------------

MODELS_DIR = DATA_DIR / "models"
WORK_DIR = DATA_DIR / "work"
ENGINE_THREADS = env.number("ENGINE_THREADS", 1, at_least=1)
# ctranslate2 and onnxruntime read it when they are loaded, in the worker; numpy with the next import.
os.environ.setdefault("OMP_NUM_THREADS", str(ENGINE_THREADS))
from transcribe_site import provider_settings  # noqa: E402

# Speech servers, which jobs may use beside ENGINES.
PROVIDERS = provider_settings.providers(env.items("PROVIDERS"))
# The built-in engines that jobs may use. "fake" is for tests: it reads numbered tones instead of speech.
ENGINES = env.some_of("ENGINES", "local", ("local", "fake"))
if not ENGINES and not PROVIDERS:
    raise ImproperlyConfigured("ENGINES may be none only with a provider; see OPENAI_API_KEY and PROVIDERS")
DEFAULT_ENGINE = env.text("DEFAULT_ENGINE", [*ENGINES, *PROVIDERS][0])
# Does what the engine of a job could not do, unless the job names another one. Empty: nothing does.
FALLBACK_ENGINE = env.text("FALLBACK_ENGINE")
FALLBACK_MODEL = env.text("FALLBACK_MODEL")
LOCAL_MODEL = env.text("LOCAL_MODEL", "base")
# Users may choose these models of the local engine, beside LOCAL_MODEL.
LOCAL_MODELS = list(dict.fromkeys([LOCAL_MODEL, *env.items("LOCAL_MODELS", "base,tiny.en")]))

# --- Jobs ----------------------------------------------------------------------------------------

RUN_DIR = DATA_DIR / "run"
WORKERS = env.number("WORKERS", os.cpu_count() or 1, at_least=1)
# A worker that says nothing for this long has lost its work to the next one.
LEASE_S = env.number("LEASE_S", 60, at_least=3)
MAX_ATTEMPTS = env.number("MAX_ATTEMPTS", 4, at_least=1)
# Wait before the second attempt; doubled for each one after it.
RETRY_BACKOFF_S = env.number("RETRY_BACKOFF_S", 2)
RETRY_BACKOFF_MAX_S = env.number("RETRY_BACKOFF_MAX_S", 300)
# After so many failures in a row a provider is left alone for PROVIDER_PAUSE_S, doubled at each further one.
PROVIDER_FAILURES = env.number("PROVIDER_FAILURES", 3, at_least=1)
PROVIDER_PAUSE_S = env.number("PROVIDER_PAUSE_S", 15, at_least=1)
PROVIDER_PAUSE_MAX_S = env.number("PROVIDER_PAUSE_MAX_S", 300, at_least=1)
# For so long the work of a provider that is away waits for it; after that, its failures count as attempts.
PROVIDER_PATIENCE_S = env.number("PROVIDER_PATIENCE_S", 3600)
# One unit of work ends at max(UNIT_DEADLINE_S, 20 x its audio): an inference can hang in C for ever.
UNIT_DEADLINE_S = env.number("UNIT_DEADLINE_S", 300, at_least=1)
SWEEP_EVERY_S = env.number("SWEEP_EVERY_S", 10, at_least=1)
# A cluster that has not run anything for this long, asked to, is killed and started again.
STALL_AFTER_S = env.number("STALL_AFTER_S", 60, at_least=3)
STOP_GRACE_S = env.number("STOP_GRACE_S", 30, at_least=1)
SWEEPERS = ["jobs_app.sweep.sweep", "sessions_app.abandoned.sweep", "sessions_app.orphans.sweep"]

# What a person does at once; see docs/operations.md before raising these.
THROTTLE_RATES = {
    "user": env.text("THROTTLE_USER", "6000/hour"),
    "anon": env.text("THROTTLE_ANON", "120/hour"),
    "upload": env.text("THROTTLE_UPLOAD", "600/hour"),
    # By the minute: each request reads the times of all that count.
    "chunk": env.text("THROTTLE_CHUNK", "1200/minute"),
    "login": env.text("THROTTLE_LOGIN", "30/hour"),
}

REDIS_URL = env.text("REDIS_URL")
# Which of the two carries the wake-up calls. Jobs are rows of the database either way.
QUEUE = env.one_of("QUEUE", "redis" if REDIS_URL else "database", ("database", "redis"))

Q_TIMEOUT_S = 2 * 3600  # the last resort, above any deadline of ours
Q_CLUSTER: dict[str, Any] = {
    "name": "transcribe",
    "workers": WORKERS,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": Q_TIMEOUT_S,
    # The clock of a message starts when it is fetched, and the last one fetched waits for all before it.
    "retry": -(-(2 + WORKERS) // WORKERS) * (Q_TIMEOUT_S + 3) + 60,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "catch_up": False,
    "recycle": 1000,
    "poll": 0.1,
    "guard_cycle": 0.5,
    "cache": "queue_status",
    "log_level": "INFO",
}
if QUEUE == "redis":
    Q_CLUSTER["redis"] = {
        **env.redis(REDIS_URL or "redis://127.0.0.1:6379/0"),
        "socket_connect_timeout": 0.5,
        "socket_timeout": 5,
        # A web request must not wait for a dead Redis; the sweeper repairs.
        **({} if IS_WORKER else {"retry": Retry(NoBackoff(), 0)}),
    }
else:
    Q_CLUSTER["orm"] = "default"

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Django-Q2's status of its own processes.
    "queue_status": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": RUN_DIR / "queue_status",
    },
}

# --- REST API ------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "jobs_app.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_THROTTLE_CLASSES": [
        "rest_framework.throttling.UserRateThrottle",
        "rest_framework.throttling.AnonRateThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": THROTTLE_RATES,
    # Without a proxy of ours X-Forwarded-For is what the client says, and would get it around the throttles.
    "NUM_PROXIES": 1 if BEHIND_PROXY else 0,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "jobs_app.api_errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Transcription API",
    "DESCRIPTION": "Send audio or video, follow the job, fetch the transcript.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/",
}

# Under /v1/, which OpenAI's clients ask. Files of up to this length come before all others, because somebody
# waits for them. Longer ones do not: for minutes nobody sits and waits, and they would hold up recordings.
V1_INTERACTIVE_MAX_S = env.number("V1_INTERACTIVE_MAX_S", 60)
# How long a request waits for its job; after that the job goes on without it.
V1_TIMEOUT_S = env.number("V1_TIMEOUT_S", 6 * 3600, at_least=1)
# Names of OpenAI's models that stand for the default engine.
V1_MODEL_ALIASES = env.items(
    "V1_MODEL_ALIASES", "whisper-1,gpt-transcribe,gpt-4o-transcribe,gpt-4o-mini-transcribe"
)

# --- Watching ------------------------------------------------------------------------------------

# /metrics answers `Authorization: Bearer METRICS_TOKEN`. Without: this machine, or nobody behind a proxy.
METRICS_TOKEN = env.text("METRICS_TOKEN")
LOG_LEVEL = env.one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Our handler is enough; its own would print every line twice.
        "django-q": {"handlers": ["console"], "propagate": False, "level": LOG_LEVEL},
        # It tells of each window, and our own line does so too.
        "faster_whisper": {"level": "WARNING"},
    },
}

for folder in (DATA_DIR, MEDIA_ROOT, FILE_UPLOAD_TEMP_DIR, WORK_DIR, RUN_DIR, MODELS_DIR, STATIC_ROOT):
    folder.mkdir(parents=True, exist_ok=True)
