package registry

// swapScript replaces a record that is still what was read: KEYS record; ARGV old,
// new, seconds to live (0: for ever). Returns 1, or 0 where it is another.
const swapScript = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1`

// planScript puts a user on the list, or moves them forward: KEYS due; ARGV user, ms.
const planScript = `
local have = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not have or tonumber(have) > tonumber(ARGV[2]) then redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) end
return 1`

// claimScript takes those who are due, for as long as it says: KEYS due; ARGV now,
// until, count. Should the claimer die, they are due again then.
const claimScript = `
local users = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, user in ipairs(users) do redis.call('ZADD', KEYS[1], ARGV[2], user) end
return users`

// settledScript ends a claim: KEYS due; ARGV user, claimed until, next ms (0: none).
const settledScript = `
local have = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not have then
  if ARGV[3] ~= '0' then redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
elseif tonumber(have) == tonumber(ARGV[2]) then
  if ARGV[3] == '0' then redis.call('ZREM', KEYS[1], ARGV[1]) else redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1]) end
elseif ARGV[3] ~= '0' and tonumber(have) > tonumber(ARGV[3]) then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1`

// openScript begins or goes on with a session: KEYS session; ARGV fence, device,
// since, socket, socket that it continues (of one that is there already, nothing
// changes that), then fields that it takes over. A newer fence stays. What had ended, or
// had gone on elsewhere, is a session again under a newer fence only. The same fence again
// takes nothing over: the connection may have ended some of it since. Returns a Begun.
const openScript = `
local have = redis.call('HGET', KEYS[1], '.fence')
if have and tonumber(have) > tonumber(ARGV[1]) then return 0 end
local again = have == ARGV[1]
if again and redis.call('HGET', KEYS[1], '.left') == '1' then return 0 end
redis.call('HDEL', KEYS[1], '.left', '.moved')
if redis.call('HGET', KEYS[1], '.socket') ~= ARGV[4] then redis.call('HSET', KEYS[1], '.socket', ARGV[4], '.was', ARGV[5]) end
redis.call('HSET', KEYS[1], '.fence', ARGV[1], '.device', ARGV[2], '.since', ARGV[3])
redis.call('PERSIST', KEYS[1])
if again then return 2 end
redis.call('HDEL', KEYS[1], '.seq')
for i = 6, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], '') end
return 1`

// moveScript leaves word of where a session has gone on, so that who still knows it by the
// old name finds it, and nobody revives it, nor a late repeat of what opened it:
// KEYS session; ARGV fence, device, new pid, seconds.
const moveScript = `
local socket = redis.call('HMGET', KEYS[1], '.socket', '.was')
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '.fence', ARGV[1], '.device', ARGV[2], '.moved', ARGV[3], '.socket', socket[1] or '', '.was', socket[2] or '')
return redis.call('EXPIRE', KEYS[1], ARGV[4])`

// noteScript adds fields to a session, or takes them away, if the fence is its own and
// it has not left, since nothing would end them, and if no later report has been noted:
// KEYS session; ARGV fence, report, HSET or HDEL, most fields, fields. Returns 0 if it is
// not, or there is no room for all of them.
//
//nolint:dupword // blocks of Lua end inside one another
const noteScript = `
if redis.call('HGET', KEYS[1], '.fence') ~= ARGV[1] then return 0 end
if redis.call('HEXISTS', KEYS[1], '.left') == 1 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], '.seq') or '0') > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], '.seq', ARGV[2])
local all = 1
for i = 5, #ARGV do
  if ARGV[3] == 'HDEL' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  elseif redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[4]) then redis.call('HSET', KEYS[1], ARGV[i], '') else all = 0 end
  end
end
return all`

// leaveScript lets a session that has ended be forgotten in time, unless it has
// gone on: KEYS session; ARGV fence, seconds, 1 if its gateway has said so, else 0.
const leaveScript = `
if redis.call('HGET', KEYS[1], '.fence') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], '.left', ARGV[3])
return redis.call('EXPIRE', KEYS[1], ARGV[2])`
