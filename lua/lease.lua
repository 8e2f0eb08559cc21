-- SPDX-License-Identifier: ISC
-- The lease of the one active recorder.
--
-- KEYS  1 the lease ("sse:recorder"; its announcements go to the pub/sub
--         channel of the same name)
-- ARGV  1 "acquire", "force" (whoever holds it), "renew" or "release"
--       2 the caller's token   3 its patterns   4 the number of the event
--       recorded last   5 how long the lease lasts (ms)   6 which of the
--       caller's attempts this is: says which announcement belongs to which
--       7 a token that no longer counts, the caller's former one; or ""
--
-- acquire, force: { "HELD", seq, attempt, now } if it was the caller's already,
-- { "NEW", seq, attempt, now } if it is now, { "OTHER", until, 0, now } if it is
-- another's; now in microseconds, as ids are.  renew, release: 1 or 0.
-- "up ATTEMPT TOKEN" and "down TOKEN" are announced; they begin like a record,
-- so that recorders of other sites on the same Redis leave them alone.
--
-- The key has no life time: what it says holds until another recorder has it.
-- That may be when nobody subscribes to "sse:recorder:TOKEN" any more, which
-- the holder does on the connection that hears messages for as long as that
-- lives.  "until" is for those who may not ask that.  When the holder has not
-- renewed it for half a minute after that, streams hear for themselves
-- (snapshot.lua), and it must begin anew.  "sse:recorder:TOKEN:relay" likewise
-- shows that it passes messages on live just now.
local key, verb, token = KEYS[1], ARGV[1], ARGV[2]
local lease = redis.call('HMGET', key, 'token', 'seq', 'attempt', 'until')
local holder, ends = lease[1], tonumber(lease[4]) or 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local has_lapsed = now >= ends + 30000

-- First of all: without the right to publish nothing happens.
local function announce(what)
	redis.call('PUBLISH', key, '0 0 r\n' .. what .. ' ' .. token)
end

-- (PERSIST: Redis without memory refuses a script at its first write, if that is
-- one that needs some.)
local function extend()
	redis.call('PERSIST', key)
	redis.call('HSET', key, 'until', string.format('%.0f', now + ARGV[5]))
end

local function is_taken()
	if not holder or holder == ARGV[7] or verb == 'force' then
		return false
	end
	local count = redis.pcall('PUBSUB', 'NUMSUB', key .. ':' .. holder)
	if count.err then
		return now < ends
	end
	return count[2] > 0
end

if verb == 'renew' then
	if holder ~= token then
		return 0
	elseif has_lapsed then
		redis.call('DEL', key)
		return 0
	end
	extend()
	return 1
elseif verb == 'release' then
	if holder ~= token then
		return 0
	end
	announce('down')
	redis.call('DEL', key)
	return 1
end
if holder == token and not has_lapsed then
	extend()
	return { 'HELD', tonumber(lease[2] or '0'), tonumber(lease[3] or '0'),
		now_us }
elseif holder ~= token and is_taken() then
	return { 'OTHER', ends, 0, now_us }
end
announce('up ' .. ARGV[6])
redis.call('DEL', key)
redis.call('HSET', key, 'token', token, 'patterns', ARGV[3], 'seq', ARGV[4],
	'attempt', ARGV[6])
extend()
return { 'NEW', tonumber(ARGV[4]), tonumber(ARGV[6]), now_us }
