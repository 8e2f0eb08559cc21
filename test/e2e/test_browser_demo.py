# SPDX-License-Identifier: ISC
"""The demo page and the example page in Chromium.  Screenshots stay in build/screenshots."""
import json
import os
import re
import urllib.parse

import pytest

from browser import (STATIC, VENDOR, both_servers, chromium, need_npm, serve,  # noqa: F401
                     serve_bare, site, upstream)
from processes import FCGI_SSE_BIN, SSE_PUBLISH_BIN, TOP, free_port, publish_ids, sse_publish

pytestmark = pytest.mark.chromium

SHOTS = os.path.join(TOP, "build", "screenshots")
SIZES = {"desktop": (1100, 800, 1, False), "phone": (390, 844, 2, True)}


def rows(tab):
    """(class, name, data) of the events on the page, newest first."""
    return [tuple(row) for row in tab.js("""Array.from(document.querySelectorAll("#events tr"), function (tr) {
        return [tr.className, tr.querySelector(".name").firstChild.data, tr.querySelector(".data").textContent];
    })""")]


def wait_rows(tab, count):
    tab.wait("events.rows.length >= %d" % count, show="document.body.innerText")
    return rows(tab)


def connected(tab):
    tab.wait('state.textContent === "connected"', show="state.textContent")
    return tab


def text(tab, id_):
    return tab.js("document.getElementById(%r).textContent" % id_)


@both_servers
def test_events_stream_in(redis, start_fcgi_sse, chromium, serve, server):
    """History at the start, live events with time, id, name and data, a state, events per second, a reset."""
    fcgi_sse = start_fcgi_sse(redis, "--history-count=3")
    old = publish_ids(redis, "--lines", "all", stdin=b"1\n2\n")
    server = serve(server, fcgi_sse)
    tab = connected(chromium.open(server.origin + "/static/index.html?channels=all,foo&names=price"))
    assert wait_rows(tab, 2) == [("kept", "message", "2"), ("kept", "message", "1")]
    assert text(tab, "position") == str(old[-1])
    new = publish_ids(redis, "--event=price", "foo", "<b>1.10</b>\nEUR")
    assert wait_rows(tab, 3)[0] == ("live", "price", "<b>1.10</b>\nEUR")
    assert tab.js("events.rows[0].cells[1].textContent") == str(new[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", tab.js("events.rows[0].cells[0].textContent"))
    sse_publish(redis, "--lines", "all", stdin=b"x\n" * 1000)
    tab.wait("total.textContent === '1003'")
    assert len(rows(tab)) == 300
    assert int(re.search(r"at most (\d+)", tab.wait(  # the next tick draws it
        "/at most [1-9]\\d\\d/.test(plot.ariaLabel) && plot.ariaLabel")).group(1)) > 100
    tab.run("toggle.click();")
    assert text(tab, "state") == "disconnected"
    sse_publish(redis, "--lines", "all", stdin=b"y\n" * 4)
    tab.run("toggle.click();")
    tab.wait("resumed.textContent === '3'", show="document.body.innerText")
    got = rows(tab)[:4]
    assert got[:3] == 3 * [("resumed", "message", "y")]
    assert got[3][:2] == ("control", "stream-reset") and json.loads(got[3][2])["reason"] == "trimmed"


@both_servers
def test_disconnect_and_reconnect(redis, start_fcgi_sse, chromium, serve, run, server):
    """What was missed is marked as resumed: by the button, and when the server went away."""
    fcgi_sse = start_fcgi_sse(redis, "--retry=300")
    web_server = serve(server, fcgi_sse)
    tab = connected(chromium.open(web_server.origin + "/static/index.html"))
    sse_publish(redis, "all", "seen")
    wait_rows(tab, 1)
    tab.run("toggle.click();")
    fcgi_sse.wait_streams(0)
    sse_publish(redis, "all", "missed")
    tab.run("toggle.click();")
    assert wait_rows(tab, 2) == [("resumed", "message", "missed"), ("live", "message", "seen")]
    assert tab.js('document.querySelector("tr.resumed .mark").textContent') == "resumed"
    connected(tab)
    sse_publish(redis, "foo", "live again")
    assert wait_rows(tab, 3)[0] == ("live", "message", "live again")
    web_server.stop()
    tab.wait('/^lost/.test(state.textContent)')
    sse_publish(redis, "foo", "missed too")
    run(server, web_server.argv)
    assert wait_rows(tab, 4)[0] == ("resumed", "message", "missed too")
    connected(tab)


def test_reconnect_before_the_first_event(redis, fcgi_sse, chromium, serve):
    """A page that has seen no event yet goes on from where it joined."""
    sse_publish(redis, "elsewhere", "so that there is a clock")
    tab = connected(chromium.open(serve("nginx", fcgi_sse).origin + "/static/index.html"))
    tab.wait("/^[0-9]{16}$/.test(position.textContent)", 3, "position.textContent")
    tab.run("toggle.click();")
    fcgi_sse.wait_streams(0)
    sse_publish(redis, "all", "missed")
    tab.run("toggle.click();")
    assert wait_rows(tab, 1) == [("resumed", "message", "missed")]
    assert text(tab, "resumed") == "1"


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_clock_that_is_wrong(redis, fcgi_sse, chromium, serve, ahead):
    """What is kept, live or resumed does not depend on the browser's clock."""
    origin = serve("nginx", fcgi_sse).origin
    publish_ids(redis, "all", "kept")
    tab = chromium.open(origin + "/static/pages/record.js")
    tab.wait("performance.now() > 1100", show="performance.now()")  # the header Date has whole seconds
    script = tab.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {
        "source": "var now = Date.now; Date.now = function () { return now() + %d; };" % (ahead * 1000)})
    tab.driver.get(origin + "/static/index.html")
    connected(tab)
    assert wait_rows(tab, 1) == [("kept", "message", "kept")]
    publish_ids(redis, "all", "live")
    assert wait_rows(tab, 2)[0] == ("live", "message", "live")
    tab.wait("/at most 1/.test(plot.ariaLabel)", show="plot.ariaLabel")
    tab.run("toggle.click();")
    publish_ids(redis, "all", "missed")
    # what is so young that it might still be on its way counts as live
    tab.wait("performance.now() > %f" % (tab.js("performance.now()") + 1000), show="performance.now()")
    tab.run("toggle.click();")
    assert wait_rows(tab, 3)[0] == ("resumed", "message", "missed")
    connected(tab)
    publish_ids(redis, "all", "live again")
    assert wait_rows(tab, 4)[0] == ("live", "message", "live again")
    tab.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_refused(redis, fcgi_sse, chromium, serve):
    """A channel that may not be read: the page says so."""
    fcgi_sse.expect_log("refused")
    tab = chromium.open(serve("nginx", fcgi_sse, SSE_ALLOW="all").origin + "/static/index.html")
    tab.wait('state.textContent === "refused: status 403"', show="state.textContent")


def test_names_of_events(redis, fcgi_sse, chromium, serve):
    """The page listens to the names in the field, and keeps them, and the channels, in its address."""
    tab = connected(chromium.open(serve("nginx", fcgi_sse).origin + "/static/index.html"))
    tab.run("names.value = 'alert, news'; channels.value = 'foo'; connect.click();")
    tab.driver.refresh()
    connected(tab)
    assert tab.js("[names.value, channels.value]") == ["alert, news", "foo"]
    for name in ("price", "news", "alert"):
        sse_publish(redis, "--event=" + name, "foo", "x")
    assert wait_rows(tab, 2) == [("live", "alert", "x"), ("live", "news", "x")]


PAINTED = """(function () { // how much of the plot has the colour of the bars
	var color = getComputedStyle(plot).color.match(/\\d+/g).map(Number);
	var data = plot.getContext("2d").getImageData(0, 0, plot.width, plot.height).data, count = 0;

	for (var i = 0; i < data.length; i += 4)
		if (data[i] === color[0] && data[i + 1] === color[1] && data[i + 2] === color[2] && data[i + 3] === 255)
			count++;
	return count;
})()"""


def test_events_per_second(redis, fcgi_sse, chromium, serve):
    """The number of events in the last second, and a bar for each second; Clear takes the list away, and no more."""
    tab = connected(chromium.open(serve("lighttpd", fcgi_sse).origin + "/static/index.html"))
    assert text(tab, "rate") == "0" and tab.js(PAINTED) == 0
    sse_publish(redis, "--lines", "all", stdin=b"x\n" * 7)
    assert 1 <= tab.wait("Number(rate.textContent)", show="rate.textContent") <= 7  # two seconds may share them
    assert tab.js(PAINTED) > 20
    wait_rows(tab, 7)
    tab.run("document.getElementById('clear').click();")
    assert rows(tab) == [] and tab.js("!empty.hidden") and text(tab, "total") == "7"
    sse_publish(redis, "all", "y")
    assert wait_rows(tab, 1) == [("live", "message", "y")]


def test_keyboard(redis, fcgi_sse, chromium, serve):
    """Channels are picked, and the stream closed and opened, with the keyboard alone."""
    from selenium.webdriver.common.keys import Keys
    tab = connected(chromium.open(serve("lighttpd", fcgi_sse).origin + "/static/index.html"))

    def press(*keys):
        tab.focus().driver.switch_to.active_element.send_keys(*keys)

    tab.run("document.body.focus();")
    tab.driver.find_element("tag name", "body").send_keys(Keys.TAB)
    assert tab.js("document.activeElement.id") == "channels"
    press(Keys.CONTROL, "a", Keys.NULL, "news", Keys.ENTER)
    tab.wait("/channels=news/.test(location.search)", show="channels.value")
    fcgi_sse.wait_streams(1)
    connected(tab)
    sse_publish(redis, "all", "not picked any more")
    sse_publish(redis, "news", "picked")
    assert wait_rows(tab, 1) == [("live", "message", "picked")]
    press(Keys.TAB)
    press(Keys.TAB)
    press(Keys.TAB)
    assert tab.js("document.activeElement.id") == "toggle"
    assert tab.js("getComputedStyle(toggle).outlineStyle") == "solid"
    press(Keys.SPACE)
    assert text(tab, "state") == "disconnected"
    assert "sse-publish news " in text(tab, "command")


@both_servers
def test_publish_box(redis, fcgi_sse, chromium, serve, serve_bare, upstream, server):
    """The box to publish shows only where the server offers POST, and posts channel, name and data."""
    tab = connected(chromium.open(serve(server, fcgi_sse).origin + "/static/index.html"))
    tab.wait("performance.getEntriesByName(publish.action).length")  # it has asked
    assert tab.js("here.hidden") and not tab.js('document.getElementById("by-hand").hidden')
    posted = []

    def answer(handler):
        if handler.command == "POST":
            body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
            posted.append((dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query)), body))
        handler.send_response(200 if handler.command == "POST" else 204)
        handler.send_header("Allow", "POST, OPTIONS")
        handler.send_header("Content-Length", "3" if handler.command == "POST" else "0")
        handler.end_headers()
        if handler.command == "POST":
            handler.wfile.write(b"17\n")

    upstream.answers["/publish/"] = answer
    tab = connected(chromium.open(serve_bare(server, fcgi_sse, upstream).origin + "/static/index.html"))
    tab.wait("!here.hidden")
    assert tab.js('document.getElementById("by-hand").hidden')
    tab.run("document.getElementById('name').value = 'price'; data.value = 'größer'; channel.value = 'a&b';"
            "document.querySelector('#publish button').click();")
    tab.wait("published.textContent === 'published 17'", show="published.textContent")
    assert posted == [({"channels": "a&b", "event": "price"}, "größer")]


def test_first_start(chromium, run, folder):
    """sse-serve with its own Redis: the page shows a few example events; a page of one's own starts empty."""
    port = free_port()
    serve = [os.path.join(TOP, "sse-serve"), "--port=%d" % port]
    env = {"FCGI_SSE_BIN": FCGI_SSE_BIN, "SSE_PUBLISH_BIN": SSE_PUBLISH_BIN, "TMPDIR": folder.path}
    program = run("sse-serve", serve, env=env, start_new_session=True)
    program.ready(lambda: b"Ctrl-C" in program.stdout(), 20)
    tab = connected(chromium.open("http://127.0.0.1:%d/" % port))
    shown = wait_rows(tab, 5)
    assert {row[0] for row in shown} == {"kept"} and {row[1] for row in shown} == {"message", "price", "alert"}
    tab.run("toggle.click();")
    program.stop()
    program = run("sse-serve", serve + ["--root=" + STATIC], env=env, start_new_session=True)
    program.ready(lambda: b"Ctrl-C" in program.stdout(), 20)
    tab = connected(chromium.open("http://127.0.0.1:%d/" % port))
    assert rows(tab) == [] and tab.js("!empty.hidden")
    tab.run("toggle.click();")


@both_servers
def test_example_page(redis, fcgi_sse, chromium, serve, server):
    """The example page: an attribute, DOM events, and jQuery where make vendor has put it."""
    need_npm(os.path.join(VENDOR, "jquery.min.js"))
    tab = chromium.open(serve(server, fcgi_sse).origin + "/static/example.html")
    tab.wait("plain.children.length === 1")
    [id_] = publish_ids(redis, "all", '{"type": "foo", "user": "tug"}')
    sse_publish(redis, "foo", "hello")
    sse_publish(redis, "--event=price", "foo", "1.10")
    tab.wait("plain.children.length === 4")
    assert tab.js("plain.innerText").split("\n") == [
        "connected", "foo %d: tug" % id_, "message: hello", "the price is 1.1"]
    assert tab.js("document.getElementById('jquery').innerText").split("\n") == ["foo: tug", "message: hello"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks(redis, fcgi_sse, chromium, serve, scheme):
    """Readable on a desktop and on a phone, dark and light: nothing wider than the window; enough contrast."""
    tab = connected(chromium.open(serve("nginx", fcgi_sse).origin + "/static/index.html"))
    driver = tab.driver

    def cdp(command, **arguments):
        driver.execute_cdp_cmd("Emulation." + command, arguments)

    cdp("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    sse_publish(redis, "all", '{"type": "foo", "user": "tug"}')
    sse_publish(redis, "--event=price", "foo", "wide" * 100)
    wait_rows(tab, 2)
    tab.run("toggle.click();")
    sse_publish(redis, "all", "missed")
    tab.run("toggle.click();")
    wait_rows(tab, 3)
    for name, (width, height, scale, mobile) in SIZES.items():
        cdp("setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        tab.wait("innerWidth === %d" % width, show="innerWidth")
        assert tab.js("document.documentElement.scrollWidth") <= width
        tab.screenshot(os.path.join(SHOTS, "demo-%s-%s.png" % (name, scheme)))
    contrasts = tab.js(CONTRASTS)
    assert min(contrasts.values()) >= 4.5, contrasts  # WCAG 2.1, 1.4.3
    cdp("clearDeviceMetricsOverride")
    cdp("setEmulatedMedia", features=[])


CONTRASTS = """(function () {
	function light(color) {
		var parts = color.match(/[\\d.]+/g).slice(0, 3).map(function (c) {
			c /= 255;
			return c <= 0.03928 ? c / 12.92 : Math.pow((c + 0.055) / 1.055, 2.4);
		});
		return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
	}
	function ground(element) {
		var color = getComputedStyle(element).backgroundColor;
		return /, 0\\)$/.test(color) ? ground(element.parentElement) : color;
	}
	var found = {};
	["#state", "h1", ".hint", "label", "#connect", "#toggle", "#channels", "th", "td.time", "td.data", ".mark", "a",
		"#command", "dt"].forEach(function (selector) {
		var element = document.querySelector(selector);
		var a = light(getComputedStyle(element).color), b = light(ground(element));
		found[selector] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
	});
	return found;
})()"""


def test_no_request_elsewhere():
    """The pages and scripts ask for nothing of another host."""
    for name in ("index.html", "demo.css", "demo.js", "example.html", "sse.js"):
        with open(os.path.join(STATIC, name), encoding="utf-8") as f:
            assert not re.search(r"https?:|url\(|//[a-z]", f.read().replace("// ", "")), name
