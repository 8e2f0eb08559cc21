// SPDX-License-Identifier: ISC
// A server of streams as one writes it with better-sse: a channel of its own for
// each channel of Redis, and one connection that subscribes to them.
//
// server.mjs REDIS-SOCKET LISTEN-SOCKET HEARTBEAT-SECONDS
import { chmodSync } from "node:fs";
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";
import { createClient } from "redis";

const [redisSocket, listenSocket, heartbeat] = process.argv.slice(2);
const subscriber = createClient({ socket: { path: redisSocket } });
const channels = new Map();
// Numbers that grow instead of a random UUID for each event: what is received
// can be checked, and it costs less.
let lastId = 0;

// The channel, when Redis has confirmed its subscription.
function channelOf(name) {
	if (!channels.has(name)) {
		const channel = createChannel();
		channels.set(name, subscriber.subscribe(name, (data) => {
			lastId += 1;
			channel.broadcast(data, "message", { eventId: String(lastId) });
		}).then(() => channel));
	}
	return channels.get(name);
}

const server = createServer(async (req, res) => {
	const { searchParams } = new URL(req.url, "http://localhost");
	const channel = await channelOf(searchParams.get("channels"));
	const session = await createSession(req, res, {
		keepAlive: Number(heartbeat) * 1000,
		serializer: String, // text stays text; the default is JSON
	});
	channel.register(session);
});

await subscriber.connect();
server.listen({ path: listenSocket, backlog: 4096 }, () => chmodSync(listenSocket, 0o666));
process.on("SIGTERM", () => process.exit(0));
