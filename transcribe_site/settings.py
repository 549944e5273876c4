"""Every setting of the product. They are read from the environment; docs/operations.md lists them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from speech.engines import capabilities
from transcribe_site import env, provider_settings
from transcribe_site.edge import browser_rules, openapi
from transcribe_site.watching import log_lines

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).resolve()

MIB = 1024 * 1024
DAY_S = 24 * 3600
# Those of CTranslate2.
COMPUTE_TYPES = (
    "",
    "int8",
    "int8_float16",
    "int8_bfloat16",
    "int8_float32",
    "int16",
    "float16",
    "bfloat16",
    "float32",
)

# --- The site ------------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = (
    env.text("SECRET_KEY")
    # `make run` keeps its key in this file, so that `manage.py` works beside it.
    or env.kept("SECRET_KEY", DATA_DIR / "secret_key")
    or (DEBUG and "development only, never for a site that others reach")
    or env.required("SECRET_KEY", "a long random string that stays the same. `make run` makes one.")
)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS", schemes=("http", "https"))

# The path of the site on its host, if it is not at the root, such as /transcribe. A proxy may cut this path
# off or pass it on.
URL_PREFIX = env.prefix("URL_PREFIX")
FORCE_SCRIPT_NAME = URL_PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{URL_PREFIX}/"
if URL_PREFIX:
    # Another site at the root of this host may use the usual names, and browsers send its cookies here, too.
    SESSION_COOKIE_NAME = f"sessionid{URL_PREFIX.replace('/', '_')}"
    CSRF_COOKIE_NAME = f"csrftoken{URL_PREFIX.replace('/', '_')}"

# Pages of these origins may use /api/ and /v1/ with a key, but never with the cookies of this site.
CORS_ORIGINS = env.origins("CORS_ORIGINS", any_host=True)
CORS_ALLOW_ALL_ORIGINS = CORS_ORIGINS == ["*"]
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else CORS_ORIGINS
# If there are no origins, no address matches, so that CORS adds nothing to any answer.
CORS_URLS_REGEX = r"^/(api|v1)/" if CORS_ORIGINS else r"(?!)"
# This site is often in a private network.
CORS_ALLOW_PRIVATE_NETWORK = True
CORS_ALLOW_METHODS = browser_rules.METHODS
CORS_ALLOW_HEADERS = browser_rules.SENT
CORS_EXPOSE_HEADERS = browser_rules.READ

# This is True unless somebody says that people reach the site by plain http, as on their own machine.
HTTPS = env.boolean("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "transcribe_site.edge.error_pages.csrf_failed"
HSTS_SECONDS = env.number("HSTS_SECONDS", 365 * DAY_S)
SECURE_HSTS_SECONDS = HSTS_SECONDS if HTTPS else 0
# The owner of the name must decide on these two: the first is for all other hosts below it, and the second
# puts the name on a list in browsers, which it cannot leave again.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.boolean("HSTS_INCLUDE_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = env.boolean("HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # these checks ask for the two settings above
BEHIND_PROXY = env.boolean("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "people_app.session_store"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {"DIRECTIVES": browser_rules.CONTENT}

INSTALLED_APPS = [
    "sessions_app",
    "jobs_app",
    "people_app",
    "transcribe_site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
]

MIDDLEWARE = [
    "transcribe_site.edge.headers.HeadersMiddleware",
    "transcribe_site.edge.front.FrontMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "transcribe_site.edge.compression.PageCompressionMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "transcribe_site.edge.slashes.SlashMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "people_app.timezones.TimeZoneMiddleware",
]

ROOT_URLCONF = "transcribe_site.urls"

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

STATIC_URL = f"{URL_PREFIX}/static/"
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

# The pages are written in these languages.
LANGUAGES = [("en", "English")]
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")

SITE_NAME = env.line("SITE_NAME", "Transcribe")

# --- People --------------------------------------------------------------------------------------

SIGN_UP = env.boolean("SIGN_UP", default=True)
AUTH_USER_MODEL = "people_app.User"
LOGIN_URL = reverse_lazy("login")
LOGIN_REDIRECT_URL = reverse_lazy("home")
LOGOUT_REDIRECT_URL = reverse_lazy("login")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}Validator"}
    for name in ("UserAttributeSimilarity", "MinimumLength", "CommonPassword", "NumericPassword")
]

# --- Database ------------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL")
DATABASE = env.database(DATABASE_URL) if DATABASE_URL else env.sqlite(DATA_DIR / "db.sqlite3")
# Each request has a connection of its own, as is Django's default. Workers keep theirs (`manage.py workers`).
DATABASES = {"default": {**DATABASE, "CONN_HEALTH_CHECKS": True}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Uploads -------------------------------------------------------------------------------------

# This is beside the audio, so that a finished upload is moved and not copied.
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "tmp"
FILE_UPLOAD_HANDLERS = ["sessions_app.arrival.upload_handler.HashingUploadHandler"]
FILE_UPLOAD_PERMISSIONS = 0o640
# The limit of a request without its files.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * MIB
MAX_UPLOAD_BYTES = env.number("MAX_UPLOAD_MB", 2048, at_least=1) * MIB
MAX_CHUNK_BYTES = env.number("MAX_CHUNK_MB", 100, at_least=1) * MIB
# The limit for one recording.
MAX_CHUNKS = env.number("MAX_CHUNKS", 10_000, at_least=1)
MAX_AUDIO_TRACKS = env.number("MAX_AUDIO_TRACKS", 8, at_least=1, at_most=64)
MAX_AUDIO_S = env.number("MAX_AUDIO_HOURS", 12, at_least=1) * 3600
# Reading the header of an upload may cost at most this much processor time and memory.
PROBE_SECONDS = env.number("PROBE_SECONDS", 10, at_least=1, at_most=3600)
PROBE_MEMORY_MB = env.number("PROBE_MEMORY_MB", 512, at_least=64, at_most=1024 * 1024)
# Uploads are refused if less than this would stay free.
MIN_FREE_DISK_BYTES = env.number("MIN_FREE_DISK_MB", 500) * MIB
# If a chunk of a recording is missing and later ones have come, workers wait for it this long.
CHUNK_WAIT_S = env.number("CHUNK_WAIT_S", 60, at_least=0)
# The limit for one person.
MAX_OPEN_RECORDINGS = env.number("MAX_OPEN_RECORDINGS", 50, at_least=1)
# If nothing comes from a recorder for this long, the recording is finished with the audio that has come.
ABANDONED_AFTER_S = env.number("ABANDONED_AFTER_S", 900, at_least=1)
# The lengths of the first chunks that the recorder page makes; the last is that of all further ones. They are
# short at first, so that the first text comes early. What comes by a socket is cut in the same way.
RECORDER_CUTS_S = (5, 5, 10, 20, 30)
# Files that an interrupted upload left behind are removed after this time.
ORPHAN_AFTER_S = env.number("ORPHAN_AFTER_HOURS", 24, at_least=1) * 3600
# A resumable upload is removed if no more parts of it come for this long.
UPLOAD_EXPIRES_S = env.number("UPLOAD_EXPIRES_HOURS", 24, at_least=1) * 3600
# The limit for one person.
TUS_MAX_UNFINISHED = env.number("TUS_MAX_UNFINISHED", 20, at_least=1)

# --- Live words ----------------------------------------------------------------------------------

# Processes on each machine that hear recordings while they are spoken. 0: none, so there are no live words.
LIVE_HOSTS = env.number("LIVE_HOSTS", os.cpu_count() or 1, at_most=1000)
# One host listens to at most this many recordings.
LIVE_SESSIONS = env.number("LIVE_SESSIONS", 10, at_least=1)
# A host takes no more recordings while final texts take this many percent of its time.
LIVE_FINALS_PERCENT = env.number("LIVE_FINALS_PERCENT", 70, at_least=1, at_most=100)
# If a host does not renew its lease for this long, another host goes on with its recordings.
LIVE_LEASE_S = env.number("LIVE_LEASE_S", 10, at_least=3)
# If no audio comes for this long, a recording is no longer heard live, until more comes.
LIVE_IDLE_S = env.number("LIVE_IDLE_S", 60, at_least=1)
# Final texts become segments when there are this many of them, or after this time.
LIVE_BATCH_FINALS = env.number("LIVE_BATCH_FINALS", 5, at_least=1)
LIVE_BATCH_S = env.number("LIVE_BATCH_S", 10, at_least=1)
# A recording that was heard live is heard once more in long windows, unless its person does not want that.
LIVE_REFINE = env.boolean("LIVE_REFINE", default=True)
# One web process holds at most this many sockets, and one person at most so many.
LIVE_SOCKETS = env.number("LIVE_SOCKETS", 500, at_least=1)
LIVE_SOCKETS_PER_USER = env.number("LIVE_SOCKETS_PER_USER", 8, at_least=1)
# A client that reads nothing of what it is told for this long loses its socket, and then its connection.
LIVE_UNREAD_S = env.number("LIVE_UNREAD_S", 10, at_least=1)

# --- Connections ---------------------------------------------------------------------------------

# One web process works on at most this many requests at once. Each needs a connection to the database.
WEB_THREADS = env.number("WEB_THREADS", 20, at_least=1)
# At most this many more requests wait for their turn. Further ones are told to try again.
WEB_WAITING = env.number("WEB_WAITING", 600)
# At most this many parts of resumable uploads arrive at once. They have threads of their own, and mostly no
# connection to the database.
WEB_STREAMS = env.number("WEB_STREAMS", 100, at_least=1)
# One person may send at most this many bodies of more than 64 KB at once.
UPLOADS_AT_ONCE = env.number("UPLOADS_AT_ONCE", 30, at_least=1)
# A connection is closed if no byte of a request comes for this long.
STALLED_AFTER_S = env.number("STALLED_AFTER_S", 60, at_least=1)
# After STALLED_AFTER_S, a body is given up if it has come more slowly than this on average.
BODY_LEAST_BYTES_S = env.number("BODY_LEAST_BYTES_S", 1000, at_least=1)

# --- Speech --------------------------------------------------------------------------------------

MODELS_DIR = DATA_DIR / "models"
WORK_DIR = DATA_DIR / "work"
# What the local engine computes on. With "auto", that is a GPU where CUDA finds one.
LOCAL_DEVICE = env.one_of("LOCAL_DEVICE", "auto", ("auto", "cpu", "cuda"))
# If it is empty, it is the usual one of the device: int8 on the CPU, float16 on a GPU.
LOCAL_COMPUTE_TYPE = env.one_of("LOCAL_COMPUTE_TYPE", "", COMPUTE_TYPES)
# Where `manage.py models install` fetches models from: a hub, or a mirror of one.
HF_ENDPOINT = env.http_url("HF_ENDPOINT", "https://huggingface.co")
HF_TOKEN = env.token("HF_TOKEN")
# The limit for one model that is installed.
MAX_MODEL_BYTES = env.number("MAX_MODEL_MB", 8192, at_least=1) * MIB
ENGINE_THREADS = env.number("ENGINE_THREADS", 1, at_least=1, at_most=1000)
# The speech servers that jobs may use beside ENGINES.
PROVIDERS = provider_settings.providers(env.items("PROVIDERS"))
# The chat model that translates. None: only engines do that, and most only into English.
TRANSLATOR = provider_settings.translator()
# At most this many segments and characters of a transcript are sent in one request.
TRANSLATOR_MAX_SEGMENTS = env.number("TRANSLATOR_MAX_SEGMENTS", 30, at_least=1, at_most=200)
TRANSLATOR_MAX_CHARACTERS = env.number("TRANSLATOR_MAX_CHARACTERS", 4000, at_least=200, at_most=100_000)
# The built-in engines that jobs may use. "fake" is for tests: it reads numbered tones instead of speech.
ENGINES = env.some_of("ENGINES", "local", ("local", "fake"))
if not ENGINES and not PROVIDERS:
    raise ImproperlyConfigured("ENGINES may be none only with a provider; see OPENAI_API_KEY and PROVIDERS")
DEFAULT_ENGINE = env.one_of("DEFAULT_ENGINE", [*ENGINES, *PROVIDERS][0], (*ENGINES, *PROVIDERS))
# This engine does what the engine of a job could not do, unless the job names another one. If it is empty, no
# engine does.
FALLBACK_ENGINE = env.one_of("FALLBACK_ENGINE", "", ("", *ENGINES, *PROVIDERS))
LOCAL_MODEL = env.model("LOCAL_MODEL", "base")
# Users may choose these models of the local engine, beside LOCAL_MODEL.
LOCAL_MODELS = list(dict.fromkeys([LOCAL_MODEL, *env.models("LOCAL_MODELS", "base,tiny.en")]))
# Where the language of a recording is found out, it is one of these. Empty: any.
LANGUAGES_ALLOWED = env.languages("LANGUAGES_ALLOWED")
if (
    DEFAULT_ENGINE == "local"
    and LANGUAGES_ALLOWED
    and not capabilities("local", LOCAL_MODEL).languages.intersection(LANGUAGES_ALLOWED)
):
    raise ImproperlyConfigured(
        f"LANGUAGES_ALLOWED has none of the languages that LOCAL_MODEL ({LOCAL_MODEL}) knows: allow another "
        "language, or choose another model"
    )
FALLBACK_MODELS = {"": [], "local": LOCAL_MODELS, "fake": ["fake"]} | {
    name: list(provider.models) for name, provider in PROVIDERS.items()
}
FALLBACK_MODEL = env.one_of("FALLBACK_MODEL", "", ("", *FALLBACK_MODELS[FALLBACK_ENGINE]))

# Whether people may save voices under names. These are biometric data, so each person has to turn it on, too.
KNOWN_VOICES = env.boolean("KNOWN_VOICES", default=True)
# The limits for one person, and for one voice.
MAX_VOICES = env.number("MAX_VOICES", 100, at_least=1)
MAX_VOICE_SAMPLES = env.number("MAX_VOICE_SAMPLES", 5, at_least=1)

# --- Jobs ----------------------------------------------------------------------------------------

RUN_DIR = DATA_DIR / "run"
WORKERS = env.number("WORKERS", os.cpu_count() or 1, at_least=1, at_most=1000)
# If a worker does not renew its lease for this long, another worker may take its work.
LEASE_S = env.number("LEASE_S", 60, at_least=3)
MAX_ATTEMPTS = env.number("MAX_ATTEMPTS", 4, at_least=1)
# The wait before the second attempt. It doubles for each attempt after that.
RETRY_BACKOFF_S = env.number("RETRY_BACKOFF_S", 2)
RETRY_BACKOFF_MAX_S = env.number("RETRY_BACKOFF_MAX_S", 300)
# After this many failures in a row, a provider is not asked for PROVIDER_PAUSE_S. This pause doubles with
# each further failure.
PROVIDER_FAILURES = env.number("PROVIDER_FAILURES", 3, at_least=1)
PROVIDER_PAUSE_S = env.number("PROVIDER_PAUSE_S", 15, at_least=1)
PROVIDER_PAUSE_MAX_S = env.number("PROVIDER_PAUSE_MAX_S", 300, at_least=1)
# If a provider is away, its work waits for it for this long. After that, failures count as attempts.
PROVIDER_PATIENCE_S = env.number("PROVIDER_PATIENCE_S", 3600)
# This much interactive audio of one person comes before everybody's uploads at once; after that, at most
# INTERACTIVE_SPEED seconds of audio for each second that passes. The rest takes turns with the uploads.
INTERACTIVE_AHEAD_S = env.number("INTERACTIVE_AHEAD_S", 60)
INTERACTIVE_SPEED = 4
# One unit of work is ended after max(UNIT_DEADLINE_S, 20 x its audio): an inference can hang in C for ever.
UNIT_DEADLINE_S = env.number("UNIT_DEADLINE_S", 300, at_least=1)
# The deadline for decoding a recording of unknown length. If the length is known, it is a tenth of it.
PREPARATION_DEADLINE_S = env.number("PREPARATION_DEADLINE_S", 1200, at_least=1)
# If a recording is at most this long, corrections are applied to its transcript again in the request itself.
# A worker does this for longer ones.
CORRECT_AT_ONCE_S = 30 * 60
SWEEP_EVERY_S = env.number("SWEEP_EVERY_S", 10, at_least=1)
# If a cluster is asked to run something and does not for this long, it is killed and started again.
STALL_AFTER_S = env.number("STALL_AFTER_S", 60, at_least=3)
STOP_GRACE_S = env.number("STOP_GRACE_S", 30, at_least=1)
PRUNE_EVERY_S = 600
# Job runners call these functions beside their workers, each after this many seconds. Only one runner of all
# machines calls the first ones at a time.
SWEPT_ONCE = {
    "jobs_app.workers.lost_work.recover": SWEEP_EVERY_S,
    "sessions_app.sweeping.abandoned.sweep": SWEEP_EVERY_S,
    "jobs_app.workers.lost_work.prune": PRUNE_EVERY_S,
    "jobs_app.storage.loose_files.sweep": PRUNE_EVERY_S,
    "sessions_app.sweeping.orphans.sweep_keys": PRUNE_EVERY_S,
}
# Each runner calls the others, which look after files of its own machine.
SWEEPERS = SWEPT_ONCE | {
    "jobs_app.storage.spare_room.keep": SWEEP_EVERY_S,
    "jobs_app.workers.lost_work.prune_working_copies": PRUNE_EVERY_S,
    "sessions_app.sweeping.orphans.sweep_parts": PRUNE_EVERY_S,
    "sessions_app.tus.sweep.sweep": PRUNE_EVERY_S,
}

# These limit how much one person can do at once. Read docs/operations.md before you raise them.
THROTTLE_RATES = {
    "user": env.rate("THROTTLE_USER", "6000/hour"),
    "anon": env.rate("THROTTLE_ANON", "120/hour"),
    "upload": env.rate("THROTTLE_UPLOAD", "600/hour"),
    # This rate is counted by the minute, because each request reads the times of all requests that count.
    "chunk": env.rate("THROTTLE_CHUNK", "1200/minute"),
    "login": env.rate("THROTTLE_LOGIN", "30/hour"),
}

REDIS_URL = env.text("REDIS_URL")
REDIS = env.redis(REDIS_URL or "redis://127.0.0.1:6379/0")
# The queue carries the messages that wake up workers. Jobs are rows of the database in either case.
QUEUE = env.one_of("QUEUE", "redis" if REDIS_URL else "database", ("database", "redis"))

Q_TIMEOUT_S = 2 * 3600  # the last resort: longer than any deadline of this program
Q_CLUSTER: dict[str, Any] = {
    "name": "transcribe",
    "workers": WORKERS,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": Q_TIMEOUT_S,
    # The time of a message runs from when it is fetched, and the last one fetched waits for all before it.
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
    Q_CLUSTER["redis"] = {**REDIS, "socket_connect_timeout": 0.5, "socket_timeout": 5}
else:
    Q_CLUSTER["orm"] = "default"

# This cache has the counters of throttles: one for each address and three for each person. If it is full, it
# drops the counters that were used longest ago. Django's own limit of 300 would be reached in a minute. With
# this limit, the cache takes up to 50 MB, which is enough for an hour, even if somebody guesses passwords
# from all networks of a /48 of IPv6.
COUNTERS = {
    "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
IN_FILES = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"}
SHARED = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
CACHES = {
    "default": {**SHARED} if REDIS_URL else {**COUNTERS, "LOCATION": "requests"},
    # This cache counts tries to log in. It is apart from the other, so that many requests of another kind
    # cannot push these counts out.
    "logins": {**SHARED, "KEY_PREFIX": "logins"} if REDIS_URL else {**COUNTERS, "LOCATION": "logins"},
    # Django-Q2 keeps the status of its processes here.
    "queue_status": {**IN_FILES, "LOCATION": RUN_DIR / "queue_status"},
}

# --- REST API ------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "people_app.tokens.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "people_app.tokens.TokenAllows",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "rest.pages.Pages",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.OrderingFilter",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["rest.throttling.PersonThrottle", "rest.throttling.StrangerThrottle"],
    "DEFAULT_THROTTLE_RATES": THROTTLE_RATES,
    # Without a proxy, the client itself writes X-Forwarded-For and could avoid the throttles with it.
    "NUM_PROXIES": 1 if BEHIND_PROXY else 0,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "jobs_app.api.errors.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {**openapi.SETTINGS, "SERVERS": [{"url": URL_PREFIX}] if URL_PREFIX else []}

# OpenAI's clients send files to /v1/. Files of at most this length come before all others, because somebody
# waits for them. Longer files do not: nobody sits and waits for minutes, and they would hold up recordings.
V1_INTERACTIVE_MAX_S = env.number("V1_INTERACTIVE_MAX_S", 60)
# A request waits this long for its job. After that, the job goes on without the request.
V1_TIMEOUT_S = env.number("V1_TIMEOUT_S", 6 * 3600, at_least=1)
# These names of OpenAI's models stand for the default engine.
V1_MODEL_ALIASES = env.words(
    "V1_MODEL_ALIASES", "whisper-1,gpt-transcribe,gpt-4o-transcribe,gpt-4o-mini-transcribe"
)

# --- Watching ------------------------------------------------------------------------------------

# /metrics answers requests with `Authorization: Bearer METRICS_TOKEN`, and requests from this machine if
# there is no proxy.
METRICS_TOKEN = env.token("METRICS_TOKEN")
LOG_LEVEL = env.one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = log_lines.logging_at(LOG_LEVEL)
