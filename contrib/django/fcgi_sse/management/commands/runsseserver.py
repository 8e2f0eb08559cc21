# SPDX-License-Identifier: ISC
"""tornado-sse's command: page, login and stream as one origin, for development."""
import os
import pathlib
import shutil

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ... import conf


def find_sse_serve():
    folder = pathlib.Path(__file__).resolve().parents[3]  # of the package
    top = folder.parent.parent
    # only in our own source tree: what stands above an installed package is anybody's
    if folder.parts[-2:] == ("contrib", "django") and (top / "fcgi-sse.c").is_file():
        return str(top / "sse-serve")
    return shutil.which("sse-serve")


class Command(BaseCommand):
    help = "Serve the site and its event streams at one address, in front of manage.py runserver."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--address", default="127.0.0.1", help="listen on this address (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8888, help="and this port (default 8888)")
        parser.add_argument("--debug", action="store_true", help="log what happens, and each request")
        parser.add_argument("--proxy", default="http://127.0.0.1:8000",
                            help="where the site is (default http://127.0.0.1:8000: manage.py runserver)")

    def handle(self, **options):
        program = find_sse_serve()
        if program is None:
            raise CommandError("sse-serve is not in PATH. It is a part of fcgi-sse: in its source folder, run "
                               "make and sudo make install.")
        url = str(conf.stream_url())
        if not url.startswith("/sse/"):
            raise CommandError("FCGI_SSE_URL is %s, but sse-serve has the streams at /sse/: leave that setting out in "
                               "development." % url)
        # In the environment, not on the command line: that is public.
        redis, password = conf.redis_address()
        env = {**os.environ, "FCGI_SSE_REDIS": redis, "FCGI_SSE_PREFIX": conf.prefix()}
        if password:
            env["FCGI_SSE_REDIS_PASSWORD"] = password
        argv = [program, "--address=" + options["address"], "--port=%d" % options["port"],
                "--proxy=" + options["proxy"], "--session-cookie=" + settings.SESSION_COOKIE_NAME]
        if options["debug"]:
            argv.append("--debug")
        host = "[%s]" if ":" in options["address"] else "%s"
        self.stdout.write("open http://%s:%d/ and log in there: at %s, where the site is, it has no streams"
                          % (host % options["address"], options["port"], options["proxy"]))
        self.stdout.flush()
        os.execvpe(program, argv, env)
