// SPDX-License-Identifier: ISC
// A real client, left to itself: eventsource.mjs LIBRARY URL NAME,NAME…
// Each event that it dispatches leaves as a line of JSON, each opening too.
// It ends when its standard input does.
import { EventSource } from "eventsource";
import { createEventSource } from "eventsource-client";

const [library, url, names] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

if (library === "eventsource") {
	const source = new EventSource(url);
	source.addEventListener("open", () => say({ open: true }));
	source.addEventListener("error", (event) => say({ error: event.message ?? "", code: event.code }));
	for (const name of ["message", "stream-reset", ...names.split(",")])
		source.addEventListener(name, (event) =>
			say({ event: event.type, data: event.data, id: event.lastEventId }));
} else {
	createEventSource({
		url,
		onConnect: () => say({ open: true }),
		onDisconnect: () => say({ error: "disconnected" }),
		onMessage: ({ data, event, id }) => say({ event: event ?? "message", data, id }),
	});
}

process.stdin.on("end", () => process.exit(0)).resume();
