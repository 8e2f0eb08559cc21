# SPDX-License-Identifier: ISC
"""Keeps the record of each logged-in session; stands above SessionMiddleware,
so that it sees the cookie that is sent."""
import time

from django.utils.deprecation import MiddlewareMixin

from . import sessions


class SSESessionMiddleware(MiddlewareMixin):
    def process_request(self, request):
        request._fcgi_sse_started = time.monotonic()

    def process_response(self, request, response):
        sessions.follow(request, response, request._fcgi_sse_started)
        return response
