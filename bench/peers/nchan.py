# SPDX-License-Identifier: ISC
"""Nchan: a module of nginx that keeps and sends the events itself, set as its
manual says (nchan.io: nchan_publisher, nchan_subscriber eventsource,
nchan_message_buffer_length, nchan_message_timeout)."""
import os

from .base import Candidate, HEARTBEAT_S, HISTORY, Running, find

MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"


class Nchan(Candidate):
    name = "nchan"
    title = "Nchan"
    has_resume = True

    def missing(self):
        if not find("nginx"):
            return "nginx is not here"
        return "" if os.path.exists(MODULE) else "libnginx-mod-nchan is not here"

    def start(self, workdir):
        run = Running(workdir)
        port = run.start_nginx("""
		location = /pub {
			nchan_publisher;
			nchan_channel_id $arg_channel;
			nchan_message_buffer_length %d;
			nchan_message_timeout 1h;
		}
		location = /sub {
			nchan_subscriber eventsource;
			nchan_channel_id $arg_channel;
			nchan_subscriber_first_message newest;
			nchan_eventsource_ping_interval %d;
		}
		""" % (HISTORY, HEARTBEAT_S), "load_module %s;" % MODULE)
        run.stream_url = "http://127.0.0.1:%d/sub?channel={channel}" % port
        run.publish = ("http-post", "http://127.0.0.1:%d/pub?channel={channel}" % port)
        return run


CANDIDATES = [Nchan]
