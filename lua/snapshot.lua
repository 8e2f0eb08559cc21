-- SPDX-License-Identifier: ISC
-- What a stream reads in one step: where the store is, and the records after
-- a position.  Writes nothing, so that a replica can run it.
--
-- KEYS  1 clock  2 epoch  3 recorder  4 last   then the grants of sessions,
--       and for each channel two: its history, its meta
-- ARGV  1 bytes of records to return at most (but at least one record); 0: of
--         the first record only the header, with an empty frame, and its size
--       2 highest position of the stream (a cursor)
--       3 "last" or "since" or ""   4 its number
--       5 how many grants
--       6... for each channel the position after which to read
--
-- Returns { clock, epoch, now, is_replica, more, patterns, { grants or nil },
--           { for each channel: last id, oldest's previous id or -1 },
--           { channel number (from 0), record, ... merged by id },
--           size of the first record if ARGV 1 is 0, else 0,
--           token of the active recorder, 1 if that passes messages on live }
-- "oldest's previous id" is given where reading began at the oldest record
-- kept: newer than the position, it shows that something is gone.
local budget, highest = tonumber(ARGV[1]), tonumber(ARGV[2])
local mode, amount = ARGV[3], tonumber(ARGV[4])
local clock = tonumber(redis.call('GET', KEYS[1]) or '0')
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local nsessions = tonumber(ARGV[5])
local histories = 3 + nsessions -- KEYS before the first channel's pair, less 1
local nchannels = (#KEYS - 4 - nsessions) / 2

local function id_of(record)
	return tonumber(string.match(record, '^%d+') or 0)
end

-- A heap of {key, ...}, the least key first.
local heap = {}
local function sift_down(i)
	local item, n = heap[i], #heap
	while 2 * i <= n do
		local j = 2 * i
		if j < n and heap[j + 1][1] < heap[j][1] then
			j = j + 1
		end
		if heap[j][1] >= item[1] then
			break
		end
		heap[i] = heap[j]
		i = j
	end
	heap[i] = item
end
local function heapify()
	for i = math.floor(#heap / 2), 1, -1 do
		sift_down(i)
	end
end
local function pop()
	local n = #heap
	heap[1] = heap[n]
	heap[n] = nil
	if n > 1 then
		sift_down(1)
	end
end

-- The position before the newest `amount` records of all channels.
local floor = nil
if mode == 'since' then
	floor = now - amount * 1000000
elseif mode == 'last' then
	floor = clock
	for c = 1, nchannels do
		local tail = redis.call('LINDEX', KEYS[histories + 2 * c], -1)
		if tail then
			heap[#heap + 1] = { -id_of(tail), c, -1 }
		end
	end
	heapify()
	while amount > 0 and #heap > 0 do
		local top = heap[1]
		floor = -top[1] - 1
		amount = amount - 1
		top[3] = top[3] - 1
		local record = redis.call('LINDEX', KEYS[histories + 2 * top[2]], top[3])
		if record then
			top[1] = -id_of(record)
			sift_down(1)
		else
			pop()
		end
	end
	heap = {}
end

-- The last id of a channel whose own keys are gone: as publish.lua has it.
local memory_begins
local function remembered(history)
	local id = redis.call('ZSCORE', KEYS[4], history)
	if not id then
		memory_begins = memory_begins or redis.call('ZSCORE', KEYS[4], '') or
			clock
		id = memory_begins
	end
	return tonumber(id)
end

-- Where each channel's records after its position begin.
local state = {}
for c = 1, nchannels do
	local history, meta = KEYS[histories + 2 * c], KEYS[histories + 1 + 2 * c]
	local position = floor or tonumber(ARGV[5 + c])
	local last = tonumber(redis.call('HGET', meta, 'last') or '')
	if not last then
		local tail = redis.call('LINDEX', history, -1)
		last = tail and id_of(tail) or remembered(history)
	end
	local previous = -1
	if last > position then
		-- the first index whose id is newer than the position
		local low, high = 0, redis.call('LLEN', history)
		local found = nil
		while low < high do
			local middle = math.floor((low + high) / 2)
			local record = redis.call('LINDEX', history, middle)
			if id_of(record) > position then
				high = middle
				found = record
			else
				low = middle + 1
			end
		end
		if not found then
			previous = last
		else
			if low == 0 then
				previous =
					tonumber(string.match(found, '^%d+ (%d+)') or 0)
			end
			heap[#heap + 1] = { id_of(found), c, low, { found }, 1 }
		end
	end
	state[2 * c - 1] = last
	state[2 * c] = previous
end

-- Merge by id, up to the budget.  Each channel reads ahead in chunks, small
-- ones where its records are large.
heapify()
local records, used, more, size = {}, 0, 0, 0
while #heap > 0 do
	local top = heap[1]
	local record = top[4][top[5]]
	if budget == 0 then
		local id = string.match(record, '^%d+')
		size = #record
		more = 1
		records = { top[2] - 1,
			string.match(record, '^[^\n]*') .. '\nid: ' .. (id or '') .. '\n\n' }
		break
	end
	if used > 0 and used + #record > budget then
		more = 1
		break
	end
	used = used + #record
	records[#records + 1] = top[2] - 1
	records[#records + 1] = record
	top[3] = top[3] + 1
	top[5] = top[5] + 1
	if not top[4][top[5]] then
		local ahead = math.floor(32768 / (#record + 1))
		ahead = math.max(1, math.min(ahead, 16))
		top[4] = redis.call('LRANGE', KEYS[histories + 2 * top[2]], top[3],
			top[3] + ahead - 1)
		top[5] = 1
	end
	if top[4][1] then
		top[1] = id_of(top[4][top[5]])
		sift_down(1)
	else
		pop()
	end
end

local function asks_replica()
	return string.find(redis.call('INFO', 'replication'), 'role:slave', 1, true)
		and 1 or 0
end

-- A position ahead of the clock is a store that went back, or a replica that
-- lags: only then does it matter what this Redis is.
local is_replica = 0
if highest > clock then
	is_replica = asks_replica()
end

-- Does a recorder cover channels?  The one that has the lease, as long as its
-- subscription lives, which a count of subscribers shows at once; but not if it
-- has done nothing for half a minute (its machine may be gone without a word).
-- Where the count cannot be had (on a replica, or for want of the right) the
-- lease's own time counts.
local lease = redis.call('HMGET', KEYS[3], 'token', 'patterns', 'until')
local token, patterns, relays = lease[1], lease[2], 0
if token then
	local ends = (tonumber(lease[3]) or 0) * 1000
	local presence = KEYS[3] .. ':' .. token
	local count = redis.pcall('PUBSUB', 'NUMSUB', presence,
		presence .. ':relay')
	local hears = not count.err and count[2] > 0
	relays = not count.err and math.min(count[4], 1) or 0
	if hears then
		ends = ends + 30000000
	elseif not count.err and now < ends and asks_replica() == 0 then
		ends = 0
	end
	if now >= ends then
		token, patterns = false, false
	end
end

local grants = {}
for s = 1, nsessions do
	local grant = redis.pcall('GET', KEYS[4 + s])
	if type(grant) == 'table' then
		-- another type is no grant, as the empty string is none
		if not string.find(grant.err, 'WRONGTYPE', 1, true) then
			return grant
		end
		grant = ''
	end
	grants[s] = grant
end
return { clock, tonumber(redis.call('GET', KEYS[2]) or '0'), now, is_replica,
	more, patterns, grants, state, records, size,
	token, relays }
