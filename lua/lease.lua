-- SPDX-License-Identifier: ISC
-- The lease of the one active recorder.
--
-- KEYS  1 the lease ("sse:recorder"; its announcements go to the pub/sub
--         channel of the same name)
-- ARGV  1 "acquire", "force" (whoever holds it), "renew" or "release"
--       2 the caller's token   3 its patterns   4 the number of the event
--       recorded last   5 how long the lease lasts (ms)   6 which of the
--       caller's attempts this is: says which announcement belongs to which
--
-- acquire, force: { "HELD", seq, attempt } if it was the caller's already,
-- { "NEW", seq, attempt } if it is now, { "OTHER", 0, 0 } if it is another's.
-- renew, release: 1 or 0.
-- "up ATTEMPT TOKEN" and "down TOKEN" are announced; they begin like a record,
-- so that recorders of other sites on the same Redis leave them alone.
local verb, token = ARGV[1], ARGV[2]
local holder = redis.call('HGET', KEYS[1], 'token')

local function announce(what)
	redis.call('PUBLISH', KEYS[1], '0 0 r\n' .. what .. ' ' .. token)
end

if verb == 'renew' then
	if holder ~= token then
		return 0
	end
	redis.call('PEXPIRE', KEYS[1], ARGV[5])
	redis.call('PUBLISH', KEYS[1] .. ':alive', '0 0 r\n' .. token)
	return 1
elseif verb == 'release' then
	if holder ~= token then
		return 0
	end
	redis.call('DEL', KEYS[1])
	announce('down')
	return 1
end
if holder == token then
	redis.call('PEXPIRE', KEYS[1], ARGV[5])
	local held = redis.call('HMGET', KEYS[1], 'seq', 'attempt')
	return { 'HELD', tonumber(held[1] or '0'), tonumber(held[2] or '0') }
elseif holder and verb ~= 'force' then
	return { 'OTHER', 0, 0 }
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'token', token, 'patterns', ARGV[3], 'seq', ARGV[4],
	'attempt', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
announce('up ' .. ARGV[6])
return { 'NEW', tonumber(ARGV[4]), tonumber(ARGV[6]) }
