// SPDX-License-Identifier: ISC
// stdin: the bytes of an event stream.  stdout: the events that npm's
// eventsource-parser reads, as JSON; the same in whatever pieces they come.
import { readFileSync } from "node:fs";
import { createParser } from "eventsource-parser";

const bytes = readFileSync(0);

function parse(size) {
	const events = [];
	const decoder = new TextDecoder("utf-8", { fatal: true });
	const parser = createParser({
		onEvent: (event) => events.push(event),
		onError: (error) => {
			throw error;
		},
	});
	for (let at = 0; at < bytes.length; at += size)
		parser.feed(decoder.decode(bytes.subarray(at, at + size), { stream: true }));
	return JSON.stringify(events);
}

const whole = parse(bytes.length + 1);
for (const size of [4096, 65521])
	if (parse(size) !== whole)
		throw new Error(`other events in pieces of ${size} bytes`);
process.stdout.write(whole);
