/* SPDX-License-Identifier: ISC */
/*
 * Time, chance, streams and questions that a test makes by hand; loaded before
 * sse.js.  Nothing goes to a server, and no test waits.
 */
var chance = 0; // what Math.random() says
var sources = [], asked = []; // all EventSources and XMLHttpRequests made
var answer = null; // the status that a question gets; null: none

(function () {
	var now = 0, timers = [], count = 0;

	window.setTimeout = function (f, ms) {
		timers.push({ id: ++count, at: now + (ms || 0), f: f,
			arguments: [].slice.call(arguments, 2) });
		return count;
	};
	window.clearTimeout = function (id) {
		timers = timers.filter(function (timer) {
			return timer.id !== id;
		});
	};
	Math.random = function () {
		return chance;
	};

	window.time = function () {
		return now;
	};
	/* So many milliseconds pass. */
	window.pass = function (ms) {
		var end = now + ms, next;

		function isDue(timer) {
			return timer.at <= end;
		}
		function sooner(a, b) {
			return b.at < a.at ? b : a;
		}
		while (timers.some(isDue)) {
			next = timers.reduce(sooner);
			now = Math.max(now, next.at);
			clearTimeout(next.id);
			next.f.apply(null, next.arguments);
		}
		now = end;
	};

	window.EventSource = function (url, options) {
		this.url = url;
		this.options = options;
		this.readyState = 0;
		this.at = now; // when it was made
		this.listeners = [];
		sources.push(this);
	};
	EventSource.prototype = {
		addEventListener: function (name, f) {
			this.listeners.push([name, f]);
		},
		close: function () {
			this.readyState = 2;
			this.listeners = [];
		},
		/* What arrives: an event, or without data a word of its own. */
		say: function (name, data, id) {
			if (data === undefined)
				this.readyState = { open: 1, error: 0, closed: 2 }[name];
			if (name === "closed")
				name = "error";
			this.listeners.forEach(function (listener) {
				if (listener[0] === name)
					listener[1]({ type: name, data: data,
						lastEventId: id || "" });
			});
		}
	};
	/* What arrives on the newest stream. */
	window.say = function (name, data, id) {
		sources[sources.length - 1].say(name, data, id);
	};

	window.XMLHttpRequest = function () {
		this.status = 0;
		this.timeout = 0;
		asked.push(this);
	};
	XMLHttpRequest.prototype = {
		open: function (method, url) {
			this.method = method;
			this.url = url;
		},
		send: function () {
			var self = this;

			if (answer !== null)
				this.status = answer;
			if (answer !== null || this.timeout)
				setTimeout(function () {
					self.onloadend();
				}, answer === null ? this.timeout : 0);
		}
	};
})();
