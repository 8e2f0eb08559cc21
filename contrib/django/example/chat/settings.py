# SPDX-License-Identifier: ISC
"""Settings of the example. What fcgi_sse needs is marked."""
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent

SECRET_KEY = "an example, for nobody's secrets"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "chat.urls"
STATIC_URL = "/static/"
LOGIN_URL = LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "fcgi_sse",  # the app
    "chat",
]

MIDDLEWARE = [
    "fcgi_sse.middleware.SSESessionMiddleware",  # the middleware, above SessionMiddleware
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

FCGI_SSE_REDIS = os.environ.get("FCGI_SSE_REDIS", "redis://127.0.0.1:6379/0")

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3",
                         "NAME": os.environ.get("EXAMPLE_DB", HERE.parent / "db.sqlite3")}}

TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                       "django.contrib.auth.context_processors.auth"]},
}]
