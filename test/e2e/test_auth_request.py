# SPDX-License-Identifier: ISC
"""contrib/nginx-auth-request.conf and nginx-accel-redirect.conf: the application
decides when a stream opens, without a record of its session."""
import os
import re
import urllib.parse

import pytest

from browser import upstream  # noqa: F401
from django_site import Browser, Site  # noqa: F401
from processes import TOP, free_port, publish_ids
from webservers import WebServer, example, fcgi_address

NGINX = """
daemon off; user root; pid %(folder)s/nginx.pid; error_log stderr error; worker_processes 1;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %(folder)s/nginx-body; proxy_temp_path %(folder)s/nginx-proxy;
	fastcgi_temp_path %(folder)s/nginx-fcgi; uwsgi_temp_path %(folder)s/nginx-uwsgi;
	scgi_temp_path %(folder)s/nginx-scgi;
	server {
		listen 127.0.0.1:%(port)d;
		%(part)s
	}
}
"""


class Front(WebServer):
    def __init__(self, folder, name, fcgi_sse, application_port, path):
        port = free_port()
        part = example("contrib/" + name, {"http://127.0.0.1:8000": "http://127.0.0.1:%d" % application_port,
                                           "unix:/run/fcgi-sse/sse.sock": fcgi_address(fcgi_sse)})
        conf = folder.write("nginx.conf", NGINX % {"folder": folder.path, "port": port, "part": part})
        super().__init__(folder, "nginx", ["nginx", "-e", "stderr", "-p", folder.path, "-c", conf], port)
        self.path = path


@pytest.fixture
def front(folder, stack, fcgi_sse, upstream):  # noqa: F811
    def start(name, path):
        server = Front(folder, name, fcgi_sse, upstream.port, path)
        stack.callback(server.stop)
        return server
    return start


def answer(handler, status, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


USERS = {"token=of-tug": "user-7,all", "token=of-nobody": None}


def test_auth_request(redis, fcgi_sse, front, loop, upstream):  # noqa: F811
    """auth_request: the header of the application's answer is what the stream reads; no header or 401 is none."""
    def decide(handler):
        cookie = handler.headers.get("Cookie")
        if cookie not in USERS:
            return answer(handler, 401)
        channels = USERS[cookie]
        return answer(handler, 200, **({"X_SSE_Channels": channels} if channels else {}))

    upstream.answers["/sse-auth"] = decide
    upstream.answers["/"] = lambda handler: answer(handler, 204)
    server = front("nginx-auth-request.conf", "/sse/")
    tug = {"Cookie": "token=of-tug"}
    assert loop.fetch(server, path="/").status == 204
    assert loop.fetch(server).status == 401
    assert loop.fetch(server, headers={"Cookie": "token=of-nobody"}).status == 403
    fcgi_sse.expect_log("SSE_CHANNELS is set but empty")
    assert loop.fetch(server, "other", headers=tug).status == 403
    assert loop.fetch(server, headers={"X-SSE-Channels": "other"}).status == 401
    assert loop.fetch(server, path="/sse-auth", headers=tug).status == 404, "it is not for everybody to ask"
    stream = loop.live(server, headers=tug)
    assert stream.headers["x-accel-buffering"] == "no", "a proxy in front must see it"
    ids = publish_ids(redis, "user-7", "a") + publish_ids(redis, "other", "b") + publish_ids(redis, "all", "c")
    assert stream.wait_data(2) == ["a", "c"]
    assert loop.live(server, headers=tug, last_event_id=ids[0]).wait_data(1) == ["c"]
    assert loop.live(server, headers=tug, query="channels=all&lastEventId=0").wait_data(1) == ["c"]


def test_accel_redirect(redis, fcgi_sse, front, loop, upstream):  # noqa: F811
    """X-Accel-Redirect from a view: the stream begins at the cursor, of the header or of the query; a view that names
    no channels opens none, whatever the browser names."""
    def view(handler):
        cookie = handler.headers.get("Cookie")
        if cookie not in USERS:
            return answer(handler, 403)
        query = urllib.parse.urlsplit(handler.path).query
        named = {"X_SSE_Channels": USERS[cookie]} if USERS[cookie] else {}
        return answer(handler, 200, X_Accel_Redirect="/_sse/?" + query, Content_Type="text/event-stream", **named)

    upstream.answers["/my/stream"] = view
    server = front("nginx-accel-redirect.conf", "/my/stream")
    check_accel_redirect(redis, server, loop, {"Cookie": "token=of-tug"}, "user-7")
    of_nobody = {"Cookie": "token=of-nobody", "X-SSE-Channels": "all"}
    assert loop.fetch(server, headers=of_nobody).status == loop.fetch(server, "all", headers=of_nobody).status == 403
    fcgi_sse.expect_log("SSE_CHANNELS is set but empty")


def check_accel_redirect(redis, server, loop, headers, own):
    assert loop.fetch(server).status == 403
    assert loop.fetch(server, path="/_sse/", headers=headers).status == 404, "only the view leads there"
    assert loop.fetch(server, "other", headers=headers).status == 403
    stream = loop.live(server, headers=headers)
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert stream.headers["x-accel-buffering"] == "no", "a proxy in front must see it"
    ids = publish_ids(redis, own, "a") + publish_ids(redis, "other", "b") + publish_ids(redis, "all", "c")
    assert stream.wait_data(2) == ["a", "c"]
    assert loop.live(server, headers=headers, last_event_id=ids[0]).wait_data(1) == ["c"]
    assert loop.live(server, headers=headers, query={"lastEventId": ids[0]}).wait_data(1) == ["c"]
    assert loop.live(server, headers=headers, query={"last_event_id": 0, "channels": own}).wait_data(1) == ["a"]


def test_accel_redirect_from_django(redis, fcgi_sse, folder, stack, example_database, loop):
    """The Django view in that file's comment, as it stands there."""
    pytest.importorskip("django")
    with open(os.path.join(TOP, "contrib/nginx-accel-redirect.conf"), encoding="utf-8") as f:
        [view] = re.findall(r"^#\tdef stream\(request\):\n(?:#\t    .*\n)+", f.read(), re.M)
    folder.write("streams.py", "from django.http import HttpResponse, HttpResponseForbidden\n"
                 "from django.urls import path\nfrom chat.urls import urlpatterns\n\n%s\n"
                 "urlpatterns = [path('my/stream', stream), *urlpatterns]\n" % re.sub("^#\t", "", view, flags=re.M))
    site = Site(folder, redis, example_database, "ROOT_URLCONF = 'streams'\n")
    stack.callback(site.stop)
    server = Front(folder, "nginx-accel-redirect.conf", fcgi_sse, site.port, "/my/stream")
    stack.callback(server.stop)
    tug = Browser(loop, server).login("tug")
    pk = site.manage("from django.contrib.auth.models import User; print(User.objects.get(username='tug').pk)")
    check_accel_redirect(redis, server, loop, tug.header, "user-%d" % int(pk))
