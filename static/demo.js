/* SPDX-License-Identifier: ISC */
/* The demo page: sse.js does the work, this only shows it. */
(function () {
	"use strict";

	var ROWS_MAX = 300; // more would only make the page slow
	var SECONDS = 60; // of the plot
	var START = 20; // events of the past at the start

	var stream = null;
	var shown = null; // what the stream was opened with
	var isResuming = false;
	var openedAt = 0; // ms of the server's clock
	var offset = Infinity; // of our clock before the server's, ms
	var total = 0, resumed = 0;
	var pending = []; // rows until the next frame
	var counts = []; // events in each of the last seconds

	function get(id) {
		return document.getElementById(id);
	}

	function list(text) {
		return text.split(",").map(function (name) {
			return name.trim();
		}).filter(Boolean);
	}

	function say(text, className) {
		get("state").textContent = text;
		get("state").className = className;
		get("toggle").disabled = shown === null;
		get("toggle").textContent = stream ? "Disconnect" : "Reconnect";
	}

	// --- the stream

	// An id is the time of publishing, in microseconds since 1970.
	function timeOf(id) {
		return /^\d{16}$/.test(id) ? id / 1000 : NaN;
	}

	// How far is our clock from the server's?  Its header Date has whole
	// seconds; live events will tell more.
	function compareClocks() {
		return fetch("demo.js", { method: "HEAD", cache: "no-store" })
			.then(function (answer) {
				var ms = Date.now() -
					Date.parse(answer.headers.get("Date"));

				if (Math.abs(ms) > 2000)
					offset = ms;
			});
	}

	// Was this published before the stream was opened?  By the server's
	// clock, as far as it is known to differ from ours: less than a second
	// may be an event's way to us.
	function isPast(id) {
		return timeOf(id) < openedAt -
			(offset < Infinity && Math.abs(offset) > 1000 ? offset : 0);
	}

	function onEvent(data, message) {
		var isKept = isPast(message.id);

		if (!isKept && message.id)
			offset = Math.min(offset,
				Date.now() - timeOf(message.id));
		total += 1;
		if (!isKept || isResuming)
			counts[0] += 1;
		if (isKept && isResuming)
			resumed += 1;
		show({
			className: !isKept ? "live" :
				isResuming ? "resumed" : "kept",
			time: timeOf(message.id) || Date.now(),
			id: message.id,
			name: message.name,
			data: message.raw
		});
	}

	function onControl(name) {
		return function (data) {
			show({
				className: "control",
				time: Date.now(),
				id: "",
				name: name,
				data: JSON.stringify(data)
			});
			if (name === "stream-end")
				disconnect("the server ended the stream");
		};
	}

	function open(at) {
		var names = list(shown.names);
		var url = "/sse/?channels=" +
			list(shown.channels).map(encodeURIComponent).join(",");

		isResuming = at !== "";
		stream = SSE.connect(isResuming ? url : url + "&last=" + START,
			{ events: names, lastEventId: at })
			.on("*", onEvent)
			.on("reset", onControl("stream-reset"))
			.on("end", onControl("stream-end"))
			.on("open", function () {
				openedAt = Date.now();
				say("connected", "open");
			})
			.on("error", function (error) {
				isResuming = true;
				if (error.retry)
					say("lost, coming back …", "waiting");
				else
					disconnect("refused" + (error.status ?
						": status " + error.status : ""));
			});
		say("connecting …", "waiting");
	}

	function disconnect(why) {
		get("position").textContent = stream.lastEventId ||
			get("position").textContent;
		stream.close();
		stream = null;
		say(why, "closed");
	}

	function connect() {
		if (stream)
			stream.close();
		shown = {
			channels: get("channels").value,
			names: get("names").value
		};
		clear();
		open("");
	}

	// --- what is to be seen

	function cell(row, className, text) {
		var td = row.insertCell();

		td.className = className;
		td.textContent = text;
		return td;
	}

	function row(event) {
		var tr = document.createElement("tr");
		var date = new Date(event.time), name, mark;

		tr.className = event.className;
		cell(tr, "time", date.toTimeString().slice(0, 8) + "." +
			String(date.getMilliseconds() + 1000).slice(1));
		cell(tr, "id", event.id);
		name = cell(tr, "name", event.name);
		if (event.className === "resumed") {
			mark = document.createElement("span");
			mark.className = "mark";
			mark.textContent = "resumed";
			name.appendChild(mark);
		}
		cell(tr, "data", event.data);
		return tr;
	}

	// Many events in one frame are one change of the page.
	function show(event) {
		if (pending.length === 0)
			requestAnimationFrame(draw);
		pending.push(event);
		if (pending.length > ROWS_MAX)
			pending.shift();
	}

	function draw() {
		var rows = document.createDocumentFragment();
		var body = get("events");

		pending.reverse().forEach(function (event) {
			rows.appendChild(row(event));
		});
		pending = [];
		body.insertBefore(rows, body.firstChild);
		while (body.rows.length > ROWS_MAX)
			body.deleteRow(-1);
		tell();
	}

	function tell() {
		get("total").textContent = total;
		get("resumed").textContent = resumed;
		get("position").textContent = stream && stream.lastEventId ||
			get("position").textContent;
		get("empty").hidden = get("events").rows.length > 0;
	}

	function clear() {
		pending = [];
		total = resumed = 0;
		get("events").textContent = "";
		get("position").textContent = "–";
		tell();
	}

	// --- the plot

	function plot() {
		var canvas = get("plot"), context = canvas.getContext("2d");
		var scale = window.devicePixelRatio || 1;
		var width = canvas.clientWidth, height = canvas.clientHeight;
		var style = getComputedStyle(canvas);
		var most = Math.max.apply(null, counts), step = width / SECONDS;
		var top = 1;

		// The scale goes by 1, 2, 5, 10, …, so that it rests.
		while (top < most)
			top *= /^2/.test(top) ? 2.5 : 2;
		canvas.width = width * scale;
		canvas.height = height * scale;
		context.scale(scale, scale);
		context.fillStyle = context.strokeStyle =
			style.getPropertyValue("--line");
		context.fillRect(0, height - 1, width, 1);
		context.fillRect(0, 0, width, 1);
		context.fillStyle = style.color;
		counts.forEach(function (count, age) {
			var bar = count / top * (height - 2);

			context.fillRect(width - (age + 1) * step,
				height - 1 - bar, Math.max(1, step - 1.5), bar);
		});
		context.fillStyle = style.getPropertyValue("--faint");
		context.font = "11px system-ui, sans-serif";
		context.fillText(top + "/s", 2, 13);
		canvas.setAttribute("aria-label", "Events per second in the " +
			"last minute: now " + counts[1] + ", at most " + most);
	}

	function tick() {
		get("rate").textContent = counts[0];
		counts.unshift(0);
		counts.length = SECONDS + 1;
		plot();
		tell();
	}

	// --- publishing

	// A server that takes events here says so.
	function probe() {
		var form = get("publish");

		fetch(form.action, { method: "OPTIONS" }).then(function (answer) {
			var offers = answer.ok && /\bPOST\b/
				.test(answer.headers.get("Allow"));

			get("here").hidden = !offers;
			get("by-hand").hidden = offers;
		}, function () {
			// Not offered, then.
		});
	}

	function publish(event) {
		var form = get("publish"), output = get("published");
		var name = get("name").value.trim();

		event.preventDefault();
		fetch(form.action + "?channels=" +
			encodeURIComponent(get("channel").value.trim()) +
			(name ? "&event=" + encodeURIComponent(name) : ""), {
			method: "POST",
			headers: { "Content-Type": "text/plain; charset=utf-8" },
			body: get("data").value
		}).then(function (answer) {
			return answer.text().then(function (text) {
				output.textContent = (answer.ok ? "published " :
					"status " + answer.status + ": ") +
					text.trim();
			});
		}, function () {
			output.textContent = "the server does not answer";
		});
	}

	// The command, for a shell.
	function hint() {
		var channel = list(get("channels").value)[0] || "sse";

		if (!/^[\w.:-]+$/.test(channel))
			channel = "'" + channel.replace(/'/g, "'\\''") + "'";
		get("command").textContent = "sse-publish " + channel +
			" '{\"type\": \"foo\", \"user\": \"tug\"}'";
	}

	// --- start

	get("stream").addEventListener("submit", function (event) {
		var query = new URLSearchParams({
			channels: get("channels").value
		});

		event.preventDefault();
		if (get("names").value)
			query.set("names", get("names").value);
		history.replaceState(null, "", "?" + query);
		connect();
	});
	get("toggle").addEventListener("click", function () {
		if (stream)
			disconnect("disconnected");
		else
			open(get("position").textContent.replace("–", ""));
	});
	get("clear").addEventListener("click", function () {
		get("events").textContent = "";
		tell();
	});
	get("channels").addEventListener("input", hint);
	get("publish").addEventListener("submit", publish);
	window.addEventListener("resize", plot);
	matchMedia("(prefers-color-scheme: dark)").addListener(plot);

	(function () {
		var query = new URLSearchParams(location.search), i;

		for (i = 0; i <= SECONDS; i++)
			counts[i] = 0;
		get("channels").value = query.get("channels") || "all,foo";
		get("names").value = query.get("names") || "price,alert";
		hint();
		probe();
		plot();
		setInterval(tick, 1000);
		compareClocks().then(connect, connect);
	})();
})();
