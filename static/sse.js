/* SPDX-License-Identifier: ISC */
/*
 * Server-Sent Events for a page: one script tag and one attribute.
 *
 *	<body sse-data="/sse/?channels=all,foo" sse-events="price,alert">
 *
 * README.md says what that gives, ARCHITECTURE.md how tabs share a stream.
 * ES5, no dependency.
 */
(function (window, document) {
	"use strict";

	if (window.SSE && window.SSE.connect)
		return;

	var CLOSED = 2; // EventSource.CLOSED, which a polyfill may lack
	var RETRY_MAX_MS = 30000;
	var SILENCE = 2.5; // heartbeat intervals
	var SILENCE_MAX = 40; // for one event
	var CONNECT_MS = 60000;
	var ANSWER_MS = 5000; // a leader that says nothing for so long is ill
	var IDS_KEPT = 4096;

	// Published events must not look like ours.
	var CONTROL = /^(open|error|reset|end|\*)$/;
	var CURSOR = /([?&])(?:last_event_id|lastEventI[dD]|Last-Event-ID)=([^&]*)/g;

	// While the script runs; vendor/ lies beside it.
	var script = document.currentScript ||
		document.querySelector('script[src*="sse.js"]');
	var folder = script ? script.src.replace(/[^\/]*([?#].*)?$/, "") : "";

	function attempt(f, text) {
		try {
			return f(text);
		} catch (e) {
			return text;
		}
	}

	// fcgi-sse's ids are numbers that grow; of others the later one counts.
	function isAfter(a, b) {
		return b === "" || !(+a <= +b);
	}

	function withParameter(url, name, value) {
		return url + (url.indexOf("?") < 0 ? "?" : "&") + name + "=" +
			encodeURIComponent(value);
	}

	// A handler's mistake is reported, and hurts no other.
	function call(f) {
		try {
			f();
		} catch (e) {
			setTimeout(function () {
				throw e;
			});
		}
	}

	// --- EventSource, or what stands in for it

	var waiting = null;

	function whenReady(f) {
		var element;

		if (window.EventSource)
			return f();
		if (waiting)
			return waiting.push(f);
		waiting = [f];
		element = document.createElement("script");
		element.src = folder + "vendor/eventsource.min.js";
		element.onload = element.onerror = function () {
			var all = waiting;

			waiting = null;
			all.forEach(call);
		};
		document.head.appendChild(element);
	}

	// --- one connection

	/*
	 * Keeps a stream open from position at on.  The browser never reconnects:
	 * a service worker may drop Last-Event-ID.  tell() hears of everything:
	 * {k: "open"}, {k: "error", data}, {k: "end", text}, and, with the
	 * position after it (at), {k: "event", id, name, text},
	 * {k: "reset", text, from, clock, reason}, {k: "beat", interval}.  After
	 * an end, or an error without retry, the listener closes it.
	 */
	function Connection(url, names, options, at, tell) {
		var source, timer, interval = 0, patience = SILENCE, beats;
		var failures = 0, last, isOver;

		function later(ms, f) {
			clearTimeout(timer);
			timer = setTimeout(f, ms);
		}

		function close() {
			isOver = true;
			clearTimeout(timer);
			if (source)
				source.close();
		}

		function tellError(retry, status) {
			tell({ k: "error",
				data: { status: status || 0, retry: retry } });
		}

		// ms: the server's wish
		function fail(status, ms) {
			var retry = !/^(204|4..)$/.test(status);

			if (isOver)
				return;
			source.close();
			if (retry) // with jitter
				later(ms || Math.min(RETRY_MAX_MS,
					(options.retry || 1000) *
					Math.pow(2, failures++)) *
					(0.5 + Math.random() / 2), open);
			else
				close();
			tellError(retry, status);
		}

		// EventSource hides the status that made it give up.
		function ask() {
			var xhr = new XMLHttpRequest();

			clearTimeout(timer);
			xhr.open("HEAD", address());
			xhr.withCredentials = options.credentials;
			xhr.timeout = 10000;
			xhr.onloadend = function () {
				fail(xhr.status);
			};
			xhr.send();
		}

		function address() {
			return at === "" ? url :
				withParameter(url, "lastEventId", at);
		}

		// Something came.  Without heartbeats any silence is normal.
		function watch() {
			clearTimeout(timer);
			if (interval)
				later(patience * interval, function () {
					// It may be a big event on a slow line.
					patience = Math.min(SILENCE_MAX, 2 * patience);
					fail();
				});
		}

		// Moves the position.  Returns the message's id, "" if it has
		// none: EventSource then repeats the last one.
		function read(e, isFirst) {
			var id = e.lastEventId || "";
			var own = id === last ? "" : id;

			last = id;
			// A late record has an older id, and the server goes on
			// from the newest.
			if (id !== "" && isAfter(id, at))
				at = id;
			failures = 0;
			if (!isFirst) // what was too slow comes after it
				patience = SILENCE;
			watch();
			return own;
		}

		function onMessage(e) {
			tell({ k: "event", id: read(e), name: e.type, text: e.data,
				at: at });
		}

		var listeners = Object.create(null);

		// A stream begins with one of each.
		function onBeat(e) {
			read(e, beats++ < 2);
			tell({ k: "beat", interval: interval, at: at });
		}

		listeners["stream-position"] = onBeat;
		listeners["stream-heartbeat"] = function (e) {
			interval = 1000 * e.data || 0;
			onBeat(e);
		};
		listeners["stream-retry"] = function (e) {
			fail(0, +e.data);
		};
		listeners["stream-reset"] = function (e) {
			var data = attempt(JSON.parse, e.data) || {}, from = at;

			read(e);
			// Replay starts at the id that came before this, or, if
			// the store went back, at its beginning.
			at = data.id && isAfter(last, data.id) ? "0" : last;
			tell({ k: "reset", text: e.data, at: at, from: from,
				clock: data.id, reason: data.reason });
		};
		listeners["stream-end"] = function (e) {
			close();
			tell({ k: "end", text: e.data });
		};
		// Messages published under these two names arrive here, too;
		// they have data.
		listeners.open = function (e) {
			if (e.data !== undefined)
				return onMessage(e);
			watch();
			tell({ k: "open" });
		};
		listeners.error = function (e) {
			if (e.data !== undefined)
				return onMessage(e);
			(source.readyState === CLOSED ? ask : fail)();
		};

		names.forEach(function (name) {
			listeners[name] = listeners[name] || onMessage;
		});

		function open() {
			var es;

			if (isOver)
				return;
			try {
				es = source = new window.EventSource(address(),
					{ withCredentials: options.credentials });
			} catch (e) { // there is none, or the URL is wrong
				close();
				return setTimeout(tellError, 0, false);
			}
			last = "";
			beats = 0;
			Object.keys(listeners).forEach(function (name) {
				es.addEventListener(name, function (e) {
					if (es === source && !isOver)
						listeners[name](e);
				});
			});
			later(CONNECT_MS, fail);
		}

		whenReady(open);
		return { close: close };
	}

	// --- one connection for all tabs

	/*
	 * The tab that holds the lock leads: it has the connection and repeats
	 * all that it hears.  One that is behind catches up over a connection of
	 * its own, and keeps what the leader says until then; what it has had
	 * already it drops by id.
	 */
	function Shared(key, connect, start, asksForPast, deliver) {
		var channel = new window.BroadcastChannel(key);
		var me = Math.random();
		var at = /^\d+$/.test(start) ? start : "";
		var floor = at; // at or below: not ours, or had
		var seen = Object.create(null), ids = [];
		var connection, release; // we lead
		var own, target, kept, isReady; // we follow
		var isOpen, isOver, timer, interval = 0;
		var term = 0; // which leader's: when it took the lead
		var line = new window.AbortController(); // for the lock

		function take(m) {
			var id = m.id;

			if (isOver)
				return;
			if (m.k === "event" && id !== "") {
				if (!isAfter(id, floor) || seen[id])
					return;
				seen[id] = true;
				if (ids.push(id) > IDS_KEPT) {
					id = ids.shift();
					delete seen[id];
					if (isAfter(id, floor))
						floor = id;
				}
			}
			if (m.k === "reset") {
				if (isAfter(at, m.clock)) { // older ids may come
					floor = m.at;
					seen = Object.create(null);
					ids = [];
				} else if (m.from && isAfter(at, m.from)) {
					return; // gone before we came: no loss
				}
				at = m.at;
			}
			if (m.at && isAfter(m.at, at))
				at = m.at;
			if (m.k === "beat") {
				interval = m.interval;
				floor = floor || at;
			}
			deliver(m);
		}

		function say(m) {
			m.term = term;
			channel.postMessage(m);
		}

		function stop(c) {
			if (c)
				c.close();
		}

		// --- leading

		function greeting(to) {
			say({ k: "hello", to: to, at: at, isOpen: isOpen,
				interval: interval });
		}

		function lead() {
			clearTimeout(timer);
			own = stop(own);
			isOpen = false;
			term = Math.max(term + 1, Date.now());
			greeting();
			connection = connect(at || start, function (m) {
				if (m.k === "open" || m.k === "error")
					isOpen = m.k === "open";
				// Whose position is unknown, that is this tab's
				// alone.
				if (m.reason !== "unknown" && !isOver)
					say(m);
				take(m);
			});
		}

		function request(steal) {
			window.navigator.locks.request(key, steal ?
				{ steal: true } : { signal: line.signal }, function () {
				if (isOver || release)
					return;
				return new Promise(function (resolve) {
					release = resolve;
					lead();
				});
			}).catch(function (e) {
				if (isOver)
					return;
				if (e.name !== "AbortError") { // no locks here
					release = release || function () {};
					return lead();
				}
				// Robbed: we were asleep for too long.
				release = null;
				connection = stop(connection);
				isReady = false;
				request();
				ask();
			});
		}

		// --- following

		// A leader may hang, or be suspended with its lock (a phone).
		function ask() {
			if (isOver || release)
				return;
			say({ k: "want", me: me });
			clearTimeout(timer);
			timer = setTimeout(request, ANSWER_MS, true);
		}

		// Are we where the leader is, or ahead?
		function isThere() {
			return target && (at === target || isAfter(at, target));
		}

		function catchUp() {
			var beats = 0, isTold = false;

			own = connect(at || start, function (m) {
				var all = kept;

				isTold = isTold || m.k === "reset";
				if (m.id !== "") // the leader has those, too
					take(m);
				// The first two come before the past.
				if (m.k === "beat" && beats++ < 2 || isOver || !all ||
					!isThere())
					return;
				own = stop(own);
				isReady = true;
				kept = null;
				all.forEach(function (m) {
					if (m.k !== "reset" || !isTold)
						hear(m);
				});
			});
		}

		function greet(m) {
			interval = interval || m.interval;
			if (at === "" && !asksForPast)
				at = floor = m.at;
			if (!kept || !target) {
				target = m.at;
				kept = [];
			}
			if (own) // it ends when it is there
				return;
			isReady = target === "" ? at === "" && !asksForPast :
				isThere();
			if (isReady) {
				kept = null;
				deliver({ k: m.isOpen ? "open" : "beat", at: at });
			} else if (target !== "") {
				catchUp();
			}
		}

		function hear(m) {
			if (!isReady && m.at) {
				if (kept && kept.push(m) === IDS_KEPT) {
					kept = null;
					ask();
				}
			} else if (m.k === "reset" && isAfter(at, m.from) &&
				isAfter(m.clock, at)) {
				// The leader lost what came after it: did we
				// lose what came after us?
				greet({ at: m.clock });
			} else {
				take(m);
			}
		}

		channel.onmessage = function (e) {
			var m = e.data;

			if (m.k === "want") {
				if (release)
					greeting(m.me);
				return;
			}
			// A leader that was robbed may not know it yet.
			if (isOver || release || m.term < term ||
				m.to && m.to !== me)
				return;
			if (m.term > term) {
				kept = null;
				if (m.k !== "hello") {
					isReady = false;
					ask();
				}
			}
			term = m.term;
			// A leader may begin without a position.
			if (m.k === "hello" || !isReady && target === "" && m.at)
				greet(m);
			if (isReady || m.k === "hello") { // an answer
				clearTimeout(timer);
				if (interval)
					timer = setTimeout(ask, SILENCE * interval);
			}
			if (m.k !== "hello")
				hear(m);
		};

		function onVisible() {
			if (!document.hidden)
				ask();
		}

		document.addEventListener("visibilitychange", onVisible);
		request();
		ask();
		return {
			close: function (hasEnded) {
				if (isOver)
					return;
				isOver = true;
				line.abort();
				clearTimeout(timer);
				document.removeEventListener("visibilitychange",
					onVisible);
				stop(connection);
				stop(own);
				channel.close();
				// An end is to be heard before another tab leads.
				if (release)
					setTimeout(release, hasEnded ? 1000 : 0);
			}
		};
	}

	// --- what a page has in hand

	function list(names) {
		return (Array.isArray(names) ? names : (names || "").split(","))
			.map(function (name) {
				return name.trim();
			}).filter(Boolean);
	}

	function Stream(url, options) {
		var self = this, element = options.element;
		var handlers = Object.create(null), key, connection;
		var start = options.lastEventId;
		var names = list(options.events).concat("message");
		var settings = { credentials: !!options.credentials,
			retry: options.retry };

		start = start || start === 0 ? String(start) : "";
		self.state = "connecting";
		self.lastEventId = "";
		// The position moves, so it is no part of the URL.
		url = url.replace(/#.*/, "").replace(CURSOR,
			function (all, mark, value) {
				start = start || attempt(decodeURIComponent, value);
				return mark;
			}).replace(/([?&])&+/g, "$1").replace(/[?&]$/, "");
		if (!/[?&]heartbeat=/.test(url))
			url = withParameter(url, "heartbeat", "event");

		function fire(type, data, m) {
			var message = { type: type, id: m.id || "",
				name: m.name || "", raw: m.text };

			(handlers[type] || []).concat(
				m.k === "event" && handlers["*"] || [])
				.forEach(function (f) {
					call(function () {
						f.call(self, data, message);
					});
				});
			if (!element)
				return;
			var e = document.createEvent("CustomEvent");

			e.initCustomEvent("sse:" + type, true, false, data);
			e.id = message.id;
			e.name = message.name;
			e.raw = message.raw;
			element.dispatchEvent(e);
			if (window.jQuery)
				call(function () {
					trigger(type, data);
				});
		}

		// A part of it that is ours would reach the handlers of
		// "sse.open"; so would "open!" before jQuery 1.9.
		function trigger(type, data) {
			var parts = type.split(".");

			if (/!/.test(type))
				parts = parts.concat(type.slice(0, -1).split("."));
			if (parts.length > 1 && parts.some(CONTROL.test, CONTROL))
				type = "message";
			window.jQuery(element).trigger("sse." +
				type.replace(/[\\^$*+?()\[\]{}|]/g, "\\$&"), [data]);
		}

		function deliver(m) {
			var data = m.data, type = m.k;

			if (self.state === "closed")
				return;
			if (m.at)
				self.lastEventId = m.at;
			if (type === "beat" ||
				type === "open" && self.state === "open")
				return;
			if (type === "open")
				self.state = "open";
			else if (type === "error")
				self.state = "connecting";
			if (m.text !== undefined)
				data = attempt(JSON.parse, m.text);
			if (type === "event") {
				type = data && data.type;
				if (typeof type !== "string" || type === "")
					type = m.name;
				if (CONTROL.test(type))
					type = "message";
			}
			if (m.k === "end" || m.k === "error" && !data.retry)
				shut(true);
			fire(type, data, m);
		}

		function shut(hasEnded) {
			self.state = "closed";
			if (connection)
				connection.close(hasEnded);
		}

		function connect(at, tell) {
			return Connection(url, names, settings, at, tell);
		}

		self.close = function () {
			shut(false);
		};
		self.on = function (type, f) {
			handlers[type] = (handlers[type] || []).concat(f);
			return self;
		};
		// Browsers have them with https, or on localhost.
		if (options.share && window.navigator.locks)
			try {
				key = ["sse2", new window.URL(url, document.baseURI),
					names.sort(), settings.credentials].join(" ");
				connection = Shared(key, connect, start,
					/[?&](last|since)=/.test(url) ||
					start !== "" && !/^\d+$/.test(start),
					deliver);
			} catch (e) {
				// No storage for this page.
			}
		self.shared = !!connection;
		connection = connection || connect(start, deliver);
	}

	function begin(element) {
		function get(name) {
			return element.getAttribute(name);
		}

		if (!element.sseStream && get("sse-data") !== null)
			call(function () {
				element.sseStream = new Stream(get("sse-data"), {
					element: element,
					events: get("sse-events"),
					share: get("sse-share") !== null,
					credentials: get("sse-credentials") !== null,
					lastEventId: get("data-last-event-id")
				});
			});
	}

	function scan(root) {
		root = root || document;
		if (root.getAttribute)
			begin(root);
		if (root.querySelectorAll)
			[].forEach.call(root.querySelectorAll("[sse-data]"),
				begin);
	}

	window.SSE = {
		connect: function (url, options) {
			return new Stream(url, options || {});
		},
		scan: scan
	};

	if (document.readyState === "loading")
		document.addEventListener("DOMContentLoaded",
			scan.bind(null, document));
	else
		scan(document);
})(window, document);
