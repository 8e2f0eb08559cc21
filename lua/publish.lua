-- SPDX-License-Identifier: ISC
-- One event into the history of its channels, and to all who listen.
--
-- KEYS  1 clock  2 epoch  3 limits  4 recorder   and for each channel two:
--       its history, its meta
-- ARGV  1 prefix of the live channels ("sse:event:")
--       2 origin: "p", or "r" for the recorder
--       3 the recorder's token  4 its number of this event   ("" for "p")
--       5 the frame without its id line   6... the channels' names, distinct
--
-- Returns the ids, one for each channel, as strings.  For origin "r" instead
-- "LOST" if the lease is not the caller's, "SEEN" if it has recorded this
-- number already, "GAP" if an earlier one is missing: then nothing happened.
--
-- All that can fail because a key has another type is read before the first
-- write: a script is not rolled back.
local clock_key, epoch_key, limits_key, lease_key =
	KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local live, origin, token, frame = ARGV[1], ARGV[2], ARGV[3], ARGV[5]

if origin == 'r' then
	local lease = redis.call('HMGET', lease_key, 'token', 'seq')
	if lease[1] ~= token then
		return 'LOST'
	end
	local seq = tonumber(lease[2]) or 0
	if tonumber(ARGV[4]) <= seq then
		return 'SEEN'
	elseif tonumber(ARGV[4]) > seq + 1 then
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

local before = {}
for i = 6, #ARGV do
	local history, meta = KEYS[2 * i - 7], KEYS[2 * i - 6]
	local m = redis.call('HMGET', meta, 'last', 'bytes')
	local last = m[1]
	if not last then
		local tail = redis.call('LINDEX', history, -1)
		last = tail and string.match(tail, '^%d+') or '0'
	end
	local bytes = tonumber(m[2])
	if not bytes then
		-- meta was lost, perhaps not the list
		bytes = 0
		for _, kept in ipairs(redis.call('LRANGE', history, 0, -1)) do
			bytes = bytes + #kept
		end
	end
	before[i] = { last, bytes }
end

local ids = {}
for i = 6, #ARGV do
	local history, meta, was = KEYS[2 * i - 7], KEYS[2 * i - 6], before[i]
	local ids_text = string.format('%.0f', id)
	local record = ids_text .. ' ' .. was[1] .. ' ' .. origin .. '\nid: ' ..
		ids_text .. '\n' .. frame
	redis.call('SET', clock_key, ids_text)
	if not clock or redis.call('EXISTS', epoch_key) == 0 then
		redis.call('SET', epoch_key, ids_text)
		clock = ids_text
	end
	if origin == 'r' then
		redis.call('HSET', lease_key, 'seq', ARGV[4])
	end
	local len = redis.call('RPUSH', history, record)
	local bytes = #record
	if len > 1 then
		bytes = bytes + was[2]
	end
	local oldest = (now - age * 1000000)
	while len > 1 do
		local drop = len > count or bytes > most
		if not drop then
			local head = redis.call('LINDEX', history, 0)
			drop = tonumber(string.match(head, '^%d+') or 0) < oldest
		end
		if not drop then
			break
		end
		bytes = bytes - #redis.call('LPOP', history)
		len = len - 1
	end
	redis.call('HSET', meta, 'last', ids_text, 'bytes',
		string.format('%.0f', bytes))
	redis.call('EXPIRE', history, string.format('%.0f', age))
	redis.call('EXPIRE', meta, 2592000)
	redis.call('PUBLISH', live .. ARGV[i], record)
	ids[#ids + 1] = ids_text
	id = id + 1
end
return ids
