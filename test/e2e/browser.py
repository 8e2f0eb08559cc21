# SPDX-License-Identifier: ISC
"""Headless Chromium, and web servers that give it pages beside the streams."""
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest

from processes import DEADLINE_S, TOP, children_of, free_port
from webservers import STATIC, WebServer, fcgi_address

PAGES = os.path.join(TOP, "test", "e2e", "pages")
VENDOR = os.path.join(STATIC, "vendor")
NODE_MODULES = os.path.join(TOP, "tools", "vendor", "node_modules")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--no-proxy-server", "--force-color-profile=srgb",
         # an origin that is not secure: neither https nor this machine's name
         "--host-resolver-rules=MAP insecure.test 127.0.0.1"]

both_servers = pytest.mark.parametrize("server", ["nginx", "lighttpd"])


def need_npm(path):
    """A test that needs one of npm's packages is skipped, and counted, where they cannot be had."""
    if not os.path.exists(path):
        pytest.skip("%s is not there: make vendor" % os.path.relpath(path, TOP))


class Chromium:
    """One browser; each test opens its own tabs and they are closed after it."""

    def __init__(self):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        from selenium.webdriver.remote.remote_connection import RemoteConnection
        self.profile = tempfile.mkdtemp(prefix="sse-chromium-")
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in FLAGS + ["--user-data-dir=" + self.profile, "--window-size=1100,800"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        RemoteConnection.set_timeout(4 * DEADLINE_S)  # a browser that hangs is a failure
        self.service = Service(CHROMEDRIVER, log_path=os.devnull)
        self.driver = webdriver.Chrome(service=self.service, options=options)
        self.driver.set_script_timeout(2 * DEADLINE_S)
        self.driver.set_page_load_timeout(2 * DEADLINE_S)
        self.home = self.driver.current_window_handle
        self.expected_console = []

    def quit(self):
        try:
            self.driver.quit()
        finally:
            self.kill()

    def kill(self):
        """End it and its driver, also where both hang."""
        process = self.service.process
        pids = [process.pid] if process.poll() is None else []
        for pid in pids:
            pids += children_of(pid)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, url):
        """A new tab that has loaded this page."""
        self.driver.switch_to.window(self.home)
        self.driver.switch_to.new_window("tab")
        tab = Tab(self, self.driver.current_window_handle)
        self.driver.get(url)
        return tab

    def close_tabs(self):
        for handle in self.driver.window_handles:
            if handle != self.home:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self.home)

    def uncaught(self):
        """What no handler caught in the pages' scripts."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if "Uncaught" in entry["message"]
                and not any(re.search(p, entry["message"]) for p in self.expected_console)]


class Tab:
    def __init__(self, browser, handle):
        self.browser, self.driver, self.handle = browser, browser.driver, handle

    def focus(self):
        if self.driver.current_window_handle != self.handle:
            self.driver.switch_to.window(self.handle)
        return self

    def js(self, expression):
        """The value of an expression."""
        return self.focus().driver.execute_script("return (%s)" % expression)

    def run(self, statements):
        self.focus().driver.execute_script(statements)

    def wait(self, expression, seconds=DEADLINE_S, show="window.log"):
        """Wait until the expression is true; return its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.js(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError("waited %s s without success for %s; %s is\n%s" % (
                    seconds, expression, show, json.dumps(self.js(show), indent=1)[-3000:]))
            time.sleep(0.02)

    def wait_log(self, count, seconds=DEADLINE_S):
        """Wait until the page has noted so many events; return all."""
        self.wait("window.log.length >= %d" % count, seconds)
        return self.log()

    def log(self):
        return self.js("window.log")

    def noted(self, *types):
        return [entry for entry in self.log() if entry["type"] in types]

    def data(self, *types):
        return [entry["data"] for entry in self.noted(*types)]

    def close(self):
        self.focus()
        self.driver.close()
        self.driver.switch_to.window(self.browser.home)

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.focus()
        self.driver.save_screenshot(path)
        return path


@pytest.fixture(scope="session")
def one_browser():
    """[the browser of this worker], or [] until a test needs it."""
    found = []
    yield found
    for browser in found:
        browser.quit()


@pytest.fixture
def chromium(one_browser, stack):
    """A browser with no tab, cookie or cached file of another test (whose port may be this one's)."""
    if not CHROMIUM or not CHROMEDRIVER:
        pytest.skip("Chromium and its driver are not here")
    if not one_browser:
        one_browser.append(Chromium())
    [browser] = one_browser

    def close_tabs():
        try:
            browser.close_tabs()
        except BaseException:  # it hangs: the next test has another one
            one_browser.clear()
            browser.kill()
            raise

    browser.expected_console = []
    browser.uncaught()
    for what in ("Cookies", "Cache"):
        browser.driver.execute_cdp_cmd("Network.clearBrowser" + what, {})
    stack.callback(close_tabs)  # before the servers end
    yield browser
    uncaught = browser.uncaught()
    assert not uncaught, "the pages' scripts failed: %s" % uncaught


# ---- pages

class Site:
    """What stands at /static/: our files, the test pages, npm's, and what a test writes."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "site"
        os.makedirs(self.path)
        for name in os.listdir(STATIC):
            os.symlink(os.path.join(STATIC, name), os.path.join(self.path, name))
        os.symlink(PAGES, os.path.join(self.path, "pages"))
        if os.path.isdir(NODE_MODULES):
            os.symlink(NODE_MODULES, os.path.join(self.path, "npm"))

    def page(self, name, body, head=""):
        """A page with sse.js, and record.js to note what happens."""
        self.folder.write("site/" + name, """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>%s</title><link rel="icon" href="data:,">
<script src="/static/pages/record.js"></script>
%s
<script src="/static/sse.js"></script>
</head>
%s
</html>
""" % (name, head, body))
        return "/static/" + name


@pytest.fixture
def site(folder):
    return Site(folder)


@pytest.fixture
def serve(web, site):
    """serve("nginx", fcgi_sse, SSE_ALLOW="all", …): the example set-up with this policy and the site at /static/."""
    def start(kind, fcgi_sse, **policy):
        policy = policy or {"SSE_ALLOW": "*"}
        if kind == "nginx":
            old, new = 'SSE_ALLOW "*"', "; fastcgi_param ".join('%s "%s"' % item for item in policy.items())
        else:
            old, new = '"SSE_ALLOW" => "*"', ", ".join('"%s" => "%s"' % item for item in policy.items())
        server = web(kind + "-example", fcgi_sse, {"/usr/share/fcgi-sse/static": site.path, old: new})
        server.origin = "http://127.0.0.1:%d" % server.port
        return server
    return start


# ---- set-ups that are not ours

NGINX = """
daemon off; user root; pid %(folder)s/bare-nginx.pid; error_log stderr error; worker_processes 1;
events { worker_connections 1024; }
http {
	access_log %(folder)s/bare-access.log;
	client_body_temp_path %(folder)s/bare-body; proxy_temp_path %(folder)s/bare-proxy;
	fastcgi_temp_path %(folder)s/bare-fcgi; uwsgi_temp_path %(folder)s/bare-uwsgi;
	scgi_temp_path %(folder)s/bare-scgi;
	types { text/html html; text/css css; application/javascript js; }
	server {
		listen 127.0.0.1:%(port)d;
		location /sse/ {
			fastcgi_param SSE_ALLOW *;
			include /etc/nginx/fastcgi_params;
			fastcgi_pass %(address)s;
			fastcgi_read_timeout 1h;
		}
		location /static/ { alias %(site)s/; }
		location ~ ^/(upstream|publish)/ { proxy_pass http://127.0.0.1:%(upstream)d; proxy_buffering off; }
	}
}
"""

LIGHTTPD = """
server.document-root = "%(folder)s"
server.port = %(port)d
server.bind = "127.0.0.1"
server.modules = ( "mod_alias", "mod_setenv", "mod_fastcgi", "mod_proxy", "mod_accesslog" )
accesslog.filename = "%(folder)s/bare-access.log"
server.stream-response-body = 2
server.upload-dirs = ( "%(folder)s" )
mimetype.assign = ( ".html" => "text/html", ".css" => "text/css", ".js" => "text/javascript" )
alias.url = ( "/static/" => "%(site)s/" )
setenv.add-environment = ( "SSE_ALLOW" => "*" )
fastcgi.server = ( "/sse/" => (( "socket" => "%(socket)s", "check-local" => "disable",
    "disable-time" => 0, "tcp-fin-propagate" => "enable" )))
$HTTP["url"] =~ "^/(upstream|publish)/" {
    proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => %(upstream)d )) )
}
"""


class BareServer(WebServer):
    """A set-up by somebody who has not read ours: an error of the back end
    reaches the browser as it is.  /upstream/ and /publish/ go to a server of the test."""

    path = "/sse/"

    def __init__(self, kind, folder, site, fcgi_sse, upstream_port=9):
        port = free_port()
        values = {"folder": folder.path, "port": port, "site": site.path, "upstream": upstream_port,
                  "address": fcgi_address(fcgi_sse), "socket": fcgi_sse.address}
        if kind == "nginx":
            conf = folder.write("bare-nginx.conf", NGINX % values)
            argv = ["nginx", "-e", "stderr", "-p", folder.path, "-c", conf]
        else:
            argv = ["lighttpd", "-D", "-f", folder.write("bare-lighttpd.conf", LIGHTTPD % values)]
        super().__init__(folder, kind, argv, port)
        self.origin = "http://127.0.0.1:%d" % port
        self.access_log = folder / "bare-access.log"

    def requests(self):
        """(method, path) of the requests that have ended."""
        with open(self.access_log, encoding="utf-8") as lines:
            return re.findall(r'"([A-Z]+) (\S+) HTTP', lines.read())


class Upstream:
    """An application server whose answers a test writes: path -> function
    of the request's handler (http.server)."""

    def __init__(self):
        self.answers = {}
        self.requests = []
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = urllib.parse.urlsplit(self.path).path
                upstream.requests.append((self.command, self.path, dict(self.headers)))
                upstream.answers[path](self)

            do_HEAD = do_POST = do_OPTIONS = do_GET

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # browsers leave

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05},
                                       daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, method=None):
        return [path for command, path, _ in self.requests if method in (None, command)]


def send_status(handler, status):
    handler.send_response(status)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def send_stream(handler, text):
    """A stream that has this in it and ends."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(text.encode())


def send_text(handler, type_, text):
    handler.send_response(200)
    handler.send_header("Content-Type", type_)
    handler.send_header("Content-Length", str(len(text.encode())))
    handler.end_headers()
    handler.wfile.write(text.encode())


@pytest.fixture
def upstream(stack):
    server = Upstream()
    stack.callback(server.close)
    return server


@pytest.fixture
def by_hand(chromium, upstream):
    """by_hand(script, before, head) -> a tab that has run both and sse.js between them; time, chance and streams are
    the test's own (pages/clock.js)."""
    def read(*names):
        with open(os.path.join(*names), encoding="utf-8") as f:
            return "<script>%s</script>\n" % f.read()

    def start(script, before="", head=""):
        page = "<!DOCTYPE html><link rel='icon' href='data:,'>%s%s%s<script>%s</script>%s<body><script>%s</script>" % (
            read(PAGES, "record.js"), read(PAGES, "clock.js"), head, before, read(STATIC, "sse.js"), script)
        upstream.answers["/"] = lambda handler: send_text(handler, "text/html; charset=utf-8", page)
        return chromium.open("http://127.0.0.1:%d/" % upstream.port)
    return start


@pytest.fixture
def serve_bare(folder, site, stack):
    """serve_bare("nginx", fcgi_sse, upstream) -> a BareServer."""
    def start(kind, fcgi_sse, upstream=None):
        server = BareServer(kind, folder, site, fcgi_sse, upstream.port if upstream else 9)
        stack.callback(server.stop)
        return server
    return start


def gzipped_size(path):
    return len(subprocess.run(["gzip", "-9", "-n", "-c", path], check=True, stdout=subprocess.PIPE).stdout)
