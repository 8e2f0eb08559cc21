-- SPDX-License-Identifier: ISC
-- One event into the history of its channels, and to all who listen.
--
-- KEYS  1 clock  2 epoch  3 limits  4 recorder   for each channel two: its
--       history, its meta   and, from a caller who may ask again, its key
-- ARGV  1 prefix of the live channels ("sse:event:")
--       2 origin: "p", or "r" for the recorder
--       3 the recorder's token ("" for "p")
--       4 the recorder's number of this event; with a key the caller's (""
--         is 1)
--       5 the frame without its id line   6... the channels' names, distinct
--
-- Returns the ids, one for each channel, as strings; for a key's number that is
-- published already (in the last ten minutes) those that it got then.  Or, and
-- then nothing happened, "GAP" if an earlier number is missing, "SEEN" if this
-- one is published already (with a key: more than 512 numbers ago); for origin
-- "r" "LOST" if the lease is not the caller's.
--
-- All that can fail is tried before the first write, since a script is not
-- rolled back: a key of another type by reading it, a right that the user of
-- Redis has not by asking.  What else Redis refuses (OOM, READONLY, MISCONF,
-- NOREPLICAS) it refuses at the first write, if that is one that OOM can
-- refuse: SET.
local clock_key, epoch_key, limits_key, lease_key =
	KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local live, origin, token, frame = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local once_key = KEYS[2 * #ARGV - 5]
local number = tonumber(ARGV[4]) or 1
local slot = tostring(number % 512) -- of a key: where the ids of its number are

if origin == 'r' then
	local lease = redis.call('HMGET', lease_key, 'token', 'seq')
	if lease[1] ~= token then
		return 'LOST'
	end
	local seq = tonumber(lease[2]) or 0
	if number <= seq then
		return 'SEEN'
	elseif number > seq + 1 then
		return 'GAP'
	end
elseif once_key then
	local held = redis.call('HMGET', once_key, 'seq', slot)
	local seq = tonumber(held[1])
	if seq and number <= seq then
		if not held[2] or number <= seq - 512 then
			return 'SEEN'
		end
		local ids = {}
		for id in string.gmatch(held[2], '%d+') do
			ids[#ids + 1] = id
		end
		return ids
	elseif seq and number > seq + 1 then
		return 'GAP'
	end
end

local limits = redis.call('HMGET', limits_key, 'count', 'age', 'bytes')
local count = tonumber(limits[1]) or 200
local age = math.max(1, math.min(tonumber(limits[2]) or 86400, 2592000))
local most = tonumber(limits[3]) or 4194304
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local clock = redis.call('GET', clock_key)
local id = math.max((tonumber(clock) or 0) + 1, now)
local is_first = not clock or redis.call('EXISTS', epoch_key) == 0

-- "sse:last", without a life time: the last id of each channel that had an event
-- in the last 30 days, by the name of its history; for all others that of ''.
-- Whatever Redis evicts: who comes back hears that something is gone.
local last_key = string.gsub(clock_key, 'clock$', 'last')
local begins = redis.call('ZSCORE', last_key, '')
local memory_begins = begins or clock or '0'
local old_names = redis.call('ZRANGEBYSCORE', last_key, '1',
	string.format('%.0f', now - 2592000000000), 'LIMIT', '0', '3')

local ids, before = {}, {}
for i = 6, #ARGV do
	local history, meta = KEYS[2 * i - 7], KEYS[2 * i - 6]
	local m = redis.call('HMGET', meta, 'last', 'bytes')
	local oldest = redis.call('LRANGE', history, '0', '1')
	local last = m[1]
	if not last then
		local tail = redis.call('LINDEX', history, -1)
		last = tail and string.match(tail, '^%d+') or
			redis.call('ZSCORE', last_key, history) or memory_begins
	end
	local bytes = tonumber(m[2])
	if not bytes then
		-- meta was lost, perhaps not the list
		bytes = 0
		for _, kept in ipairs(redis.call('LRANGE', history, 0, -1)) do
			bytes = bytes + #kept
		end
	end
	ids[i - 5] = string.format('%.0f', id + i - 6)
	before[i] = { last, bytes, oldest }
end

-- Redis 7 says what the user may do; an older one cannot be asked.
local may, denied = redis.acl_check_cmd, false
if may then
	for i = 6, #ARGV do
		local history, meta = KEYS[2 * i - 7], KEYS[2 * i - 6]
		denied = denied or
			not may('RPUSH', history, '') and 'RPUSH ' .. history or
			not may('LINDEX', history, '0') and 'LINDEX ' .. history or
			not may('LPOP', history) and 'LPOP ' .. history or
			not may('EXPIRE', history, '1') and 'EXPIRE ' .. history or
			not may('HSET', meta, '', '') and 'HSET ' .. meta or
			not may('EXPIRE', meta, '1') and 'EXPIRE ' .. meta or
			not may('PUBLISH', live .. ARGV[i], '') and
				'PUBLISH ' .. live .. ARGV[i]
	end
	denied = denied or
		not may('ZADD', last_key, '0', '') and 'ZADD ' .. last_key or
		not may('ZREM', last_key, '') and 'ZREM ' .. last_key
	if is_first then
		denied = denied or
			not may('SET', epoch_key, '') and 'SET ' .. epoch_key
	end
	if origin == 'r' then
		denied = denied or
			not may('HSET', lease_key, '', '') and 'HSET ' .. lease_key
	elseif once_key then
		denied = denied or
			not may('HSET', once_key, '', '') and 'HSET ' .. once_key or
			not may('EXPIRE', once_key, '1') and 'EXPIRE ' .. once_key
	end
	if denied then
		return redis.error_reply('NOPERM this user may not ' .. denied)
	end
end

redis.call('SET', clock_key, ids[#ids])
if is_first then
	redis.call('SET', epoch_key, ids[1])
end
for _, name in ipairs(old_names) do
	if name ~= '' then
		memory_begins = redis.call('ZSCORE', last_key, name)
		redis.call('ZREM', last_key, name)
		begins = nil
	end
end
if not begins then
	redis.call('ZADD', last_key, memory_begins, '')
end
for i = 6, #ARGV do
	local history, meta, was = KEYS[2 * i - 7], KEYS[2 * i - 6], before[i]
	local id_text = ids[i - 5]
	local head = id_text .. ' ' .. was[1] .. ' ' .. origin .. '\nid: ' ..
		id_text .. '\n'
	local record = head .. frame
	local len = redis.call('RPUSH', history, record)
	local bytes, ndropped = #record, 0
	if len > 1 then
		bytes = bytes + was[2]
	end
	while len > 1 do
		local drop = len > count or bytes > most
		if not drop then
			local head = was[3][ndropped + 1] or
				redis.call('LINDEX', history, 0)
			drop = tonumber(string.match(head, '^%d+') or 0) <
				now - age * 1000000
		end
		if not drop then
			break
		end
		bytes = bytes - #redis.call('LPOP', history)
		len = len - 1
		ndropped = ndropped + 1
	end
	redis.call('ZADD', last_key, id_text, history)
	redis.call('HSET', meta, 'last', id_text, 'bytes',
		string.format('%.0f', bytes))
	redis.call('EXPIRE', history, string.format('%.0f', age))
	redis.call('EXPIRE', meta, '2592000')
	-- Redis holds what it publishes once for each subscriber.  Past 32 MiB they
	-- get a summons instead, and read it from the history, spread over the
	-- time (ms) that it says: 400 MB a second.
	if #record > 65536 then
		local count = redis.pcall('PUBSUB', 'NUMSUB', live .. ARGV[i])
		local sum = not count.err and count[2] * #record or 0
		if sum > 33554432 then
			record = head .. ': ' ..
				string.format('%.0f', math.min(sum / 400000, 10000)) .. '\n\n'
		end
	end
	redis.call('PUBLISH', live .. ARGV[i], record)
end
if origin == 'r' then
	redis.call('HSET', lease_key, 'seq', ARGV[4])
elseif once_key then
	redis.call('HSET', once_key, 'seq', number, slot, table.concat(ids, ' '))
	redis.call('EXPIRE', once_key, '600')
end
return ids
