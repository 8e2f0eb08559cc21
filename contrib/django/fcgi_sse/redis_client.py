# SPDX-License-Identifier: ISC
"""The one client of Redis of this process: its pool is safe in threads and over forks."""
import functools

import redis
from django.core.signals import setting_changed
from redis.backoff import NoBackoff
from redis.retry import Retry

from . import conf


@functools.lru_cache(maxsize=None)
def client():
    url, password = conf.redis_address()
    more = {"password": password} if password else {}
    if not url.startswith("unix:"):  # redis-py's class for those knows no such limit
        more["socket_connect_timeout"] = 2
    # No retries: an event whose answer was lost may have been published.
    return redis.Redis.from_url(url, socket_timeout=5, retry=Retry(NoBackoff(), 0), **more)


def _forget(*, setting, **_):
    if setting.startswith(("FCGI_SSE_", "REDIS_SSEQUEUE_")) and client.cache_info().currsize:
        client().connection_pool.disconnect()
        client.cache_clear()


setting_changed.connect(_forget, dispatch_uid="fcgi_sse")  # override_settings in tests
