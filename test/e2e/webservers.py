# SPDX-License-Identifier: ISC
"""The real web servers, each with as little configuration as it needs.

`nginx-example` and `lighttpd-example` start from the example files of the
project with their marked values replaced, so that those cannot rot.
"""
import http.client
import os
import signal

from processes import DEADLINE_S, FCGI_SSE_BIN, TOP, Program, free_port, port_listens, processes_mentioning


class WebServer(Program):
    """A web server on a free port; `path` is where the streams are."""

    speaks = "http"
    path = "/sse"

    def __init__(self, folder, name, argv, port, **more):
        self.port = port
        self.address = ("127.0.0.1", port)
        more.setdefault("check_stderr", False)
        super().__init__(folder, name, argv, **more)
        self.ready(lambda: port_listens(port))

    def url(self, query=""):
        return "http://127.0.0.1:%d%s%s" % (self.port, self.path, "?" + query if query else "")


def example(name, values):
    """An example file with its marked values replaced.  They stand only in
    lines that end in CHANGE, and each must be there."""
    with open(os.path.join(TOP, name), encoding="utf-8") as f:
        lines = f.read().split("\n")
    for old, new in values.items():
        marked = [i for i, line in enumerate(lines)
                  if old in line and line.rstrip().endswith("CHANGE")]
        assert marked, "%s has no line with %r that ends in CHANGE" % (name, old)
        for i in marked:
            lines[i] = lines[i].replace(old, new)
    return "\n".join(lines)


# ---- nginx

NGINX = """
daemon off; user root; pid %(folder)s/nginx.pid; error_log stderr warn; worker_processes 1;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %(folder)s/nginx-body; proxy_temp_path %(folder)s/nginx-proxy;
	fastcgi_temp_path %(folder)s/nginx-fcgi; uwsgi_temp_path %(folder)s/nginx-uwsgi;
	scgi_temp_path %(folder)s/nginx-scgi;
	large_client_header_buffers 8 128k;
	server {
		listen 127.0.0.1:%(port)d;
		location = /sse {
			%(params)s
			include %(fastcgi_params)s;
			%(params_after)s
			fastcgi_pass %(address)s;
			fastcgi_read_timeout 1h;
		}
	}
}
"""


def fcgi_address(fcgi_sse, unix="unix:"):
    if isinstance(fcgi_sse.address, str):
        return unix + fcgi_sse.address
    return "%s:%d" % fcgi_sse.address


class Nginx(WebServer):
    """A bare location, to see what it sends; the set-up for users is the example."""

    def __init__(self, folder, fcgi_sse, params="fastcgi_param SSE_ALLOW *;", params_after=""):
        port = free_port()
        conf = folder.write("nginx.conf", NGINX % {
            "folder": folder.path, "port": port, "params": params, "params_after": params_after,
            "address": fcgi_address(fcgi_sse), "fastcgi_params": "/etc/nginx/fastcgi_params"})
        super().__init__(folder, "nginx", ["nginx", "-e", "stderr", "-p", folder.path, "-c", conf], port)


# ---- lighttpd

LIGHTTPD = """
server.document-root = "%(folder)s"
server.port = %(port)d
server.bind = "127.0.0.1"
server.modules = ( "mod_fastcgi", "mod_cgi", "mod_setenv" )
server.stream-response-body = 2
server.max-fds = 8192
server.max-write-idle = 3600
server.upload-dirs = ( "%(folder)s" )
%(more)s
"""


class Lighttpd(WebServer):
    def __init__(self, folder, more, **options):
        port = free_port()
        conf = folder.write("lighttpd.conf", LIGHTTPD % {
            "folder": folder.path, "port": port, "more": more})
        super().__init__(folder, "lighttpd", ["lighttpd", "-D", "-f", conf], port, **options)


class LighttpdFastcgi(Lighttpd):
    def __init__(self, folder, fcgi_sse):
        super().__init__(folder, """
fastcgi.server = ( "/sse" => (( "socket" => "%s", "check-local" => "disable",
    "tcp-fin-propagate" => "enable" )))
setenv.add-environment = ( "SSE_ALLOW" => "*" )
""" % fcgi_sse.address)


class LighttpdBinPath(Lighttpd):
    """lighttpd starts fcgi-sse itself: the listener comes as descriptor 0."""

    def __init__(self, folder, redis, options=""):
        super().__init__(folder, """
fastcgi.server = ( "/sse" => (( "socket" => "%s/bin-path.sock", "check-local" => "disable",
    "bin-path" => "%s --redis=%s --drain=1 %s", "max-procs" => 1,
    "bin-environment" => ( "SSE_E2E_FOLDER" => "%s" ), "tcp-fin-propagate" => "enable" )))
setenv.add-environment = ( "SSE_ALLOW" => "*" )
""" % (folder.path, FCGI_SSE_BIN, redis.url, options, folder.path))


class LighttpdCgi(Lighttpd):
    path = "/cgi-bin/sse"

    def __init__(self, folder, redis, heartbeat=1, tell_who_left=True):
        copy_program(folder, "cgi-bin/sse")
        super().__init__(folder, """
setenv.add-environment = ( "FCGI_SSE_REDIS" => "%s", "FCGI_SSE_HEARTBEAT" => "%d", "SSE_ALLOW" => "*",
    "SSE_E2E_FOLDER" => "%s" )
$HTTP["url"] =~ "^/cgi-bin/" { cgi.assign = ( "" => "" ) %s }
""" % (redis.url, heartbeat, folder.path,
       'cgi.limits = ( "tcp-fin-propagate" => "SIGTERM" )' if tell_who_left else ""))


def copy_program(folder, name):
    """A CGI folder holds a link to the program."""
    os.makedirs(os.path.dirname(folder / name), exist_ok=True)
    os.symlink(FCGI_SSE_BIN, folder / name)


# ---- Apache

APACHE = """
ServerRoot /usr/lib/apache2
ServerName localhost
Listen 127.0.0.1:%(port)d
PidFile %(folder)s/apache.pid
DefaultRuntimeDir %(folder)s
ErrorLog %(folder)s/apache-error.log
User www-data
Group www-data
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule env_module modules/mod_env.so
LoadModule alias_module modules/mod_alias.so
LoadModule cgid_module modules/mod_cgid.so
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 32
ServerLimit 2
LimitRequestLine 131072
ScriptSock %(folder)s/cgisock
SetEnv FCGI_SSE_REDIS %(redis)s
SetEnv FCGI_SSE_HEARTBEAT %(heartbeat)d
SetEnv SSE_ALLOW *
SetEnv SSE_E2E_FOLDER %(folder)s
ScriptAlias /cgi-bin/ %(folder)s/cgi-bin/
<Directory %(folder)s/cgi-bin>
	Require all granted
	Options +ExecCGI +FollowSymLinks
</Directory>
"""


class ApacheCgid(WebServer):
    path = "/cgi-bin/sse"

    def __init__(self, folder, redis, heartbeat=1):
        port = free_port()
        copy_program(folder, "cgi-bin/sse")
        conf = folder.write("apache.conf", APACHE % {
            "folder": folder.path, "port": port, "redis": redis.url, "heartbeat": heartbeat})
        super().__init__(folder, "apache2", ["apache2", "-D", "FOREGROUND", "-f", conf], port)
        self.ready(self.runs_scripts)

    def runs_scripts(self):
        """mod_cgid's own process listens later than the server: until then there is 503."""
        conn = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        conn.request("HEAD", self.path + "?channels=all")
        status = conn.getresponse().status
        conn.close()
        return status != 503

    def stop(self):
        """Without its CGIs: it would wait for them for seconds."""
        for pid, command in processes_mentioning(self.folder.path):
            if command.startswith(self.folder / "cgi-bin/sse"):
                os.kill(pid, signal.SIGTERM)
        super().stop()


# ---- busybox httpd

class Busybox(WebServer):
    path = "/cgi-bin/sse"

    def __init__(self, folder, env=None):
        port = free_port()
        super().__init__(folder, "busybox", [
            "busybox", "httpd", "-f", "-p", "127.0.0.1:%d" % port, "-h", folder.path], port, env=env)


class BusyboxCgi(Busybox):
    """The CGI itself; busybox hands on its whole environment."""

    def __init__(self, folder, redis, heartbeat=1):
        copy_program(folder, "cgi-bin/sse")
        super().__init__(folder, {"FCGI_SSE_REDIS": redis.url, "SSE_ALLOW": "*",
                                  "FCGI_SSE_HEARTBEAT": str(heartbeat)})


class BusyboxBridge(Busybox):
    """A two-line CGI script hands the request to the running fcgi-sse."""

    def __init__(self, folder, fcgi_sse):
        folder.write("cgi-bin/sse", "#!/bin/sh\nexec cgi-fcgi -bind -connect %s\n"
                     % fcgi_sse.address, 0o755)
        super().__init__(folder, {"SSE_ALLOW": "*"})


# ---- the examples

def writable_folder(folder, name):
    """Where a server that has dropped root may write."""
    os.makedirs(folder / name, exist_ok=True)
    os.chmod(folder / name, 0o777)
    return folder / name


STATIC = os.path.join(TOP, "static")


class NginxExample(WebServer):
    path = "/sse/"

    def __init__(self, folder, fcgi_sse, values=None):
        port = free_port()
        conf = folder.write("nginx.conf", example("nginx.conf.example", {
            "/run/nginx.pid": folder / "nginx.pid",
            "/var/log/nginx/error.log": "stderr",
            "/var/log/nginx": writable_folder(folder, "nginx-log"),
            "/var/lib/nginx": writable_folder(folder, "lib"),
            "127.0.0.1:8080": "127.0.0.1:%d" % port,
            "unix:/run/fcgi-sse/sse.sock": fcgi_address(fcgi_sse),
            "/usr/share/fcgi-sse/static": STATIC,
            **(values or {})}))
        super().__init__(folder, "nginx", [
            "nginx", "-e", "stderr", "-p", folder.path, "-c", conf, "-g", "daemon off;"], port)


class LighttpdExample(WebServer):
    path = "/sse/"

    def __init__(self, folder, fcgi_sse, values=None):
        port = free_port()
        conf = folder.write("lighttpd.conf", example("lighttpd.conf.example", {
            "/run/lighttpd.pid": folder / "lighttpd.pid",
            "/var/log/lighttpd": writable_folder(folder, "lighttpd-log"),
            "/var/cache/lighttpd/uploads": writable_folder(folder, "uploads"),
            "8080": str(port),
            "/run/fcgi-sse/sse.sock": fcgi_address(fcgi_sse, ""),
            "/usr/share/fcgi-sse/static": STATIC,
            **(values or {})}))
        super().__init__(folder, "lighttpd", ["lighttpd", "-D", "-f", conf], port)


KINDS = {
    "nginx": Nginx,
    "nginx-example": NginxExample,
    "lighttpd": LighttpdFastcgi,
    "lighttpd-example": LighttpdExample,
    "lighttpd-bin-path": LighttpdBinPath,
    "lighttpd-cgi": LighttpdCgi,
    "apache-cgid": ApacheCgid,
    "busybox-cgi": BusyboxCgi,
    "busybox-bridge": BusyboxBridge,
}
