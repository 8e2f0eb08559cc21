# SPDX-License-Identifier: ISC
"""A web server in front of another: proxies with the defaults of each, and two
more servers that speak FastCGI.  `needs` is the line without which a proxy
delivers nothing before the end; README names it."""
import webservers
from processes import free_port
from webservers import WebServer, fcgi_address

# ---- in front: HTTP to another server

NGINX = """
daemon off; user root; pid %(folder)s/%(name)s.pid; error_log stderr warn; worker_processes 1;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %(folder)s/%(name)s-body; proxy_temp_path %(folder)s/%(name)s-proxy;
	fastcgi_temp_path %(folder)s/%(name)s-fcgi; uwsgi_temp_path %(folder)s/%(name)s-uwsgi;
	scgi_temp_path %(folder)s/%(name)s-scgi;
	server {
		listen 127.0.0.1:%(port)d;
		location / {
			%(needs)s
			proxy_pass http://127.0.0.1:%(inner)d;
		}
	}
}
"""

LIGHTTPD = """
server.document-root = "%(folder)s"
server.port = %(port)d
server.bind = "127.0.0.1"
server.modules = ( "mod_proxy" )
server.upload-dirs = ( "%(folder)s" )
%(needs)s
proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => %(inner)d )) )
"""

APACHE_HEAD = """
ServerRoot /usr/lib/apache2
ServerName localhost
Listen 127.0.0.1:%(port)d
PidFile %(folder)s/%(name)s.pid
DefaultRuntimeDir %(folder)s
ErrorLog %(folder)s/%(name)s-error.log
User www-data
Group www-data
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule env_module modules/mod_env.so
LoadModule proxy_module modules/mod_proxy.so
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 32
ServerLimit 2
"""

APACHE = APACHE_HEAD + """
LoadModule proxy_http_module modules/mod_proxy_http.so
%(needs)s
ProxyPass "/" "http://127.0.0.1:%(inner)d/"
"""

HAPROXY_HEAD = """
global
	maxconn 200
defaults
	mode http
	timeout connect 5s
	timeout client 50s
	timeout server 50s
frontend all
	bind %(host)s:%(port)d %(listen)s
	default_backend inner
"""

HAPROXY = HAPROXY_HEAD + """
backend inner
	%(needs)s
	server inner 127.0.0.1:%(inner)d
"""


class Front(WebServer):
    """A proxy in front of the server `inner`."""

    needs = ""

    def __init__(self, folder, inner, needs=None):
        port = free_port()
        self.path = inner.path
        name = "front%d-%s" % (port, self.kind)
        conf = folder.write(name + ".conf", self.text % {
            "folder": folder.path, "name": name, "port": port, "inner": inner.port,
            "host": "127.0.0.1", "listen": "", "needs": self.needs if needs is None else needs})
        super().__init__(folder, name, [part % conf if "%" in part else part for part in self.argv], port)


class FrontNginx(Front):
    kind, text = "nginx", NGINX
    argv = ["nginx", "-e", "stderr", "-c", "%s"]


class FrontLighttpd(Front):
    kind, text = "lighttpd", LIGHTTPD
    argv = ["lighttpd", "-D", "-f", "%s"]
    needs = "server.stream-response-body = 2"


class FrontApache(Front):
    kind, text = "apache", APACHE
    argv = ["apache2", "-D", "FOREGROUND", "-f", "%s"]


class FrontHaproxy(Front):
    kind, text = "haproxy", HAPROXY
    argv = ["haproxy", "-db", "-f", "%s"]


FRONTS = {front.kind: front for front in (FrontNginx, FrontLighttpd, FrontApache, FrontHaproxy)}


# ---- behind them: FastCGI to fcgi-sse

APACHE_FCGI = APACHE_HEAD + """
LoadModule proxy_fcgi_module modules/mod_proxy_fcgi.so
SetEnv SSE_ALLOW *
ProxyPass "/sse" "%(address)s" flushpackets=on
"""

HAPROXY_FCGI = HAPROXY_HEAD + """
backend inner
	use-fcgi-app sse
	server inner %(address)s proto fcgi
fcgi-app sse
	docroot /
	set-param SSE_ALLOW *
"""


class ApacheFcgi(WebServer):
    def __init__(self, folder, fcgi_sse):
        port = free_port()
        conf = folder.write("apache.conf", APACHE_FCGI % {
            "folder": folder.path, "name": "apache", "port": port, "address": "unix:%s|fcgi://sse/" % fcgi_sse.address})
        super().__init__(folder, "apache2", ["apache2", "-D", "FOREGROUND", "-f", conf], port)


class HaproxyFcgi(WebServer):
    def __init__(self, folder, fcgi_sse, host="127.0.0.1", listen=""):
        port = free_port()
        conf = folder.write("haproxy.conf", HAPROXY_FCGI % {
            "host": host, "port": port, "listen": listen, "address": fcgi_address(fcgi_sse, "unix@")})
        super().__init__(folder, "haproxy", ["haproxy", "-db", "-f", conf], port)


INNERS = {
    "nginx": webservers.NginxExample,
    "lighttpd": webservers.LighttpdExample,
    "apache": ApacheFcgi,
    "haproxy": HaproxyFcgi,
}
