package viewing

// beganScript adds one socket to a user's: KEYS viewers, members; ARGV user,
// "<socket>@<gateway>". Returns 1 for the user's first, 0 for another or one
// that is there, -1 where the user is not a member.
const beganScript = `
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return -1 end
local have = redis.call('HGET', KEYS[1], ARGV[1])
if not have then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  return 1
end
if not string.find(' ' .. have .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then
  redis.call('HSET', KEYS[1], ARGV[1], have .. ' ' .. ARGV[2])
end
return 0`

// endedScript removes one socket of a user: KEYS viewers; ARGV as above.
// Returns 1 if it was the user's last, 0 if there are others or it is not there.
//
//nolint:dupword // blocks of Lua end inside one another
const endedScript = `
local have = redis.call('HGET', KEYS[1], ARGV[1])
if not have then return 0 end
local keep, found = {}, false
for one in string.gmatch(have, '[^ ]+') do
  if one == ARGV[2] then found = true else table.insert(keep, one) end
end
if not found then return 0 end
if #keep == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
redis.call('HSET', KEYS[1], ARGV[1], table.concat(keep, ' '))
return 0`

// renewScript extends a lease that stands: KEYS lease; ARGV ms. Returns 0 if there is none.
const renewScript = `return redis.call('PEXPIRE', KEYS[1], ARGV[1])`

// lockScript takes a lock or keeps it: KEYS lock; ARGV holder, ms.
const lockScript = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`
