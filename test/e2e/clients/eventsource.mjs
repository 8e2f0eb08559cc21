// SPDX-License-Identifier: ISC
// A real client, left to itself: eventsource.mjs LIBRARY URL NAME,NAME…
// Each event that a handler gets leaves as a line of JSON, and whether its data
// is JSON; each opening and break, too.  It ends when its standard input does.
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";
import { EventSourcePolyfill } from "event-source-polyfill";
import LaunchDarkly from "launchdarkly-eventsource";

const [library, url, names] = process.argv.slice(2);
const say = (what) => void process.stdout.write(JSON.stringify(what) + "\n");

function isJson(text) {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
}

const hear = (event, data, id) => say({ event: event || "message", data, id, isJson: isJson(data) });
const opened = () => say({ open: true });
const broken = (message, code) => say({ error: message ?? "", code });

// As a page does: it hears the names that it knows.
function listen(source) {
	source.addEventListener("open", opened);
	source.addEventListener("error", (event) => broken(event.message, event.code));
	for (const name of ["message", "stream-reset", ...names.split(",")])
		source.addEventListener(name, (event) => hear(event.type, event.data, event.lastEventId));
}

// What these expect of a browser.
function becomeBrowser() {
	globalThis.window = globalThis;
	globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
	globalThis.EventSource = EventSource;
}

const start = {
	eventsource: () => listen(new EventSource(url)),
	"launchdarkly-eventsource": () => {
		const source = new LaunchDarkly.EventSource(url);
		listen(source);
		source.addEventListener("retrying", () => broken()); // an end is no error to it
	},
	"event-source-polyfill": () => listen(new EventSourcePolyfill(url)),
	"reconnecting-eventsource": async () => {
		becomeBrowser();
		const { default: ReconnectingEventSource } = await import("reconnecting-eventsource");
		listen(new ReconnectingEventSource(url));
	},
	// These two hand every block to one function.
	"eventsource-client": () =>
		createEventSource({
			url,
			onConnect: opened,
			onDisconnect: () => broken("disconnected"),
			onMessage: ({ data, event, id }) => hear(event, data, id),
		}),
	"fetch-event-source": async () => {
		becomeBrowser();
		const { fetchEventSource } = await import("@microsoft/fetch-event-source");
		fetchEventSource(url, {
			onopen: opened,
			onmessage: ({ data, event, id }) => hear(event, data, id),
			onclose: () => {
				throw new Error("closed"); // as its README says, to come back
			},
			onerror: (error) => broken(error.message),
		});
	},
};
await start[library]();

process.stdin.on("end", () => process.exit(0)).resume();
