-- SPDX-License-Identifier: ISC
-- May this program use this store?  The first that runs on each connection; an
-- error reply says why not.  Writes nothing.
--
-- KEYS  1 the lease ("sse:recorder")   2 limits
-- ARGV  1 the prefix   2 the number of the database   3 the newest format of
--       the store that the program knows
--
-- Pub/sub has no databases: two sites of one prefix in two databases would hear
-- each other's records.  A site shows by its recorder, which is active if
-- somebody subscribes to "sse:recorder:TOKEN" (lease.lua).  Where both are, the
-- one in the database of the lower number stays.  Whoever may not ask this may
-- enter.
local key, own = KEYS[1], tonumber(ARGV[2])

local format = redis.pcall('HGET', KEYS[2], 'format')
if type(format) == 'string' and (tonumber(format) or 0) > tonumber(ARGV[3]) then
	return redis.error_reply('FORMAT ' .. format .. ' of the store ' ..
		ARGV[1] .. " is newer than this program, which knows " .. ARGV[3] ..
		': update the program, or give it another --prefix')
end

local function has_recorder()
	local token = redis.pcall('HGET', key, 'token')
	if type(token) ~= 'string' then
		return false
	end
	local count = redis.pcall('PUBSUB', 'NUMSUB', key .. ':' .. token)
	return not count.err and count[2] > 0
end

local last, other = 255, nil
if has_recorder() then
	last = own - 1
end
for database = 0, last do
	if redis.pcall('SELECT', database).err then
		break
	elseif database ~= own and has_recorder() then
		other = database
		break
	end
end
redis.pcall('SELECT', own)
if other then
	return redis.error_reply('PREFIX ' .. ARGV[1] ..
		' is in use in database ' .. other .. ', too, and pub/sub has no ' ..
		'databases: give the programs of one of them another --prefix')
end
return redis.status_reply('OK')
