# SPDX-License-Identifier: ISC
"""Server-Sent Events for Django through fcgi-sse: README.md."""
from .publish import asend_event, send_event, send_event_on_commit
from .records import current_id, end_session, end_streams

__all__ = ["asend_event", "current_id", "end_session", "end_streams", "send_event", "send_event_on_commit"]
__version__ = "0.1.0"
