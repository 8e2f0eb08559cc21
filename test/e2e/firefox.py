# SPDX-License-Identifier: ISC
"""Headless Firefox, by its own protocol: selenium would need geckodriver, which Debian 12 does not have.

Marionette (a part of each Firefox) speaks JSON over TCP: "LENGTH:[0, id, command, parameters]", answered by
"LENGTH:[1, id, error, result]"; the commands are WebDriver's."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from browser import Tab
from processes import DEADLINE_S, wait_until

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)

PREFERENCES = {
    "marionette.port": 0,  # any that is free
    # nothing goes elsewhere
    "network.proxy.type": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.server": "data:,",
}


class Marionette:
    """As much of selenium's driver as Tab needs."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=4 * DEADLINE_S)  # one that hangs is a failure
        self.file = self.socket.makefile("rb")
        self.count = 0
        self.switch_to = self
        self._read()  # it says who it is
        self.command("WebDriver:NewSession")

    def _read(self):
        length = b""
        while not length.endswith(b":"):
            byte = self.file.read(1)
            assert byte, "Firefox is gone"
            length += byte
        return json.loads(self.file.read(int(length[:-1])))

    def command(self, name, **parameters):
        self.count += 1
        message = json.dumps([0, self.count, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, count, error, result = self._read()
        assert count == self.count and error is None, "%s %r: %r" % (name, parameters, error)
        return result["value"] if isinstance(result, dict) and "value" in result else result

    window_handles = property(lambda self: self.command("WebDriver:GetWindowHandles"))
    current_window_handle = property(lambda self: self.command("WebDriver:GetWindowHandle"))

    def window(self, handle):
        self.command("WebDriver:SwitchToWindow", handle=handle, focus=True)

    def new_window(self, type_):
        self.window(self.command("WebDriver:NewWindow", type=type_, focus=True)["handle"])

    def get(self, url):
        self.command("WebDriver:Navigate", url=url)

    def close(self):
        self.command("WebDriver:CloseWindow")

    def execute_script(self, script):
        return self.command("WebDriver:ExecuteScript", script=script, args=[])


class Firefox:
    """One browser; each test opens its own tabs and they are closed after it."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="sse-firefox-")
        with open(os.path.join(self.profile, "user.js"), "w", encoding="utf-8") as f:
            for name, value in PREFERENCES.items():
                f.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
        self.process = subprocess.Popen(
            [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", self.profile],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            port_file = os.path.join(self.profile, "MarionetteActivePort")
            wait_until(lambda: os.path.exists(port_file) and os.path.getsize(port_file), 2 * DEADLINE_S, "Firefox")
            with open(port_file, encoding="ascii") as f:
                self.driver = Marionette(int(f.read()))
        except BaseException:
            self.kill()
            raise
        self.home = self.driver.current_window_handle

    def kill(self):
        """End it and its children, which are a group of their own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, url):
        """A new tab that has loaded this page."""
        self.driver.window(self.home)
        self.driver.new_window("tab")
        tab = Tab(self, self.driver.current_window_handle)
        self.driver.get(url)
        return tab

    def close_tabs(self):
        for handle in self.driver.window_handles:
            if handle != self.home:
                self.driver.window(handle)
                self.driver.close()
        self.driver.window(self.home)


@pytest.fixture(scope="session")
def one_firefox():
    """[the browser of this worker], or [] until a test needs it."""
    found = []
    yield found
    for browser in found:
        browser.kill()


@pytest.fixture
def firefox(one_firefox, stack):
    """A browser with no tab of another test."""
    if not FIREFOX:
        pytest.skip("Firefox is not here")
    if not one_firefox:
        one_firefox.append(Firefox())
    [browser] = one_firefox

    def close_tabs():
        try:
            browser.close_tabs()
        except BaseException:  # it hangs: the next test has another one
            one_firefox.clear()
            browser.kill()
            raise

    stack.callback(close_tabs)  # before the servers end
    return browser
