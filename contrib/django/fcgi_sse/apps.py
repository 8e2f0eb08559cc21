# SPDX-License-Identifier: ISC
from django.apps import AppConfig
from django.core import checks


class FcgiSseConfig(AppConfig):
    name = "fcgi_sse"
    verbose_name = "Server-Sent Events"

    def ready(self):
        from django.apps import apps

        from .checks import check_settings

        checks.register(check_settings)
        if apps.is_installed("django.contrib.auth"):
            from . import signals

            signals.connect()
