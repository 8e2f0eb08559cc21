# SPDX-License-Identifier: ISC
"""Fixtures: each test has its own folder, its own Redis and its own servers,
and fails when one of them complained unexpectedly or left a process behind."""
import contextlib
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import processes  # noqa: E402
import sse  # noqa: E402
import webservers  # noqa: E402
# One a session: a test file that imported these would have its own.
from browser import one_browser  # noqa: E402,F401
from django_site import example_database  # noqa: E402,F401
from firefox import one_firefox  # noqa: E402,F401

# A shell without job control starts what it puts into the background with SIGINT
# ignored, and all that is started from there inherits it: then no Ctrl-C of a
# test would be heard.  A handler is not inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Where streams share a process, tests of what each has for itself are none."""
    if processes.STREAMS_SHARE:
        out = [item for item in items if item.get_closest_marker("own_process")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.fixture(autouse=True)
def alarm(request):
    """No test hangs: SIGALRM ends it."""
    mark = request.node.get_closest_marker("seconds")
    seconds = mark.args[0] if mark else 180

    def give_up(*_):
        raise TimeoutError("the test took more than %d s" % seconds)

    signal.signal(signal.SIGALRM, give_up)
    # and what hangs in its teardown
    signal.setitimer(signal.ITIMER_REAL, seconds, processes.DEADLINE_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture
def stack():
    """What to end, last started first."""
    with contextlib.ExitStack() as ending:
        ending.close_streams = lambda: None
        yield ending


@pytest.fixture
def folder(alarm, stack):
    made = processes.Folder()
    stack.callback(made.remove)
    return made


@pytest.fixture
def start_redis(folder, stack):
    """start_redis(...) -> RedisServer with its options."""
    def start(**options):
        server = processes.RedisServer(folder, **options)
        stack.callback(server.stop)
        return server
    return start


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def run(folder, stack):
    """run(name, argv, ...) -> Program, stopped at the end."""
    def start(name, argv, **more):
        more.setdefault("check_stderr", False)
        program = processes.Program(folder, name, argv, **more)
        stack.callback(program.stop)
        return program
    return start


@pytest.fixture
def start_fcgi_sse(folder, stack):
    """start_fcgi_sse(redis, *options) -> FcgiSse that accepts."""
    def start(redis, *options, **more):
        program = processes.FcgiSse(folder, redis, options, wait=False, **more)

        def stop():
            stack.close_streams()  # else they are drained
            program.stop()

        stack.callback(stop)
        return program.wait_ready()
    return start


@pytest.fixture
def fcgi_sse(redis, start_fcgi_sse):
    """An fcgi-sse with the defaults."""
    return start_fcgi_sse(redis)


@pytest.fixture
def loop(stack, folder):
    streams = sse.Loop()
    stack.callback(streams.close)
    stack.close_streams = streams.close_streams
    return streams


@pytest.fixture
def web(folder, stack):
    """web(kind, ...) -> a running web server; kinds are in webservers.py."""
    def start(kind, *args, **more):
        server = webservers.KINDS[kind](folder, *args, **more)

        def stop():
            stack.close_streams()  # else it waits for its CGIs
            server.stop()

        stack.callback(stop)
        return server
    return start
