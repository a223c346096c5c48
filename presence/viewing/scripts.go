package viewing

// beganScript adds one session to a user's: KEYS viewers; ARGV user, pid. Returns 1
// for the user's first, 0 for another or one that is there.
const beganScript = `
local have = redis.call('HGET', KEYS[1], ARGV[1])
if not have then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  return 1
end
if not string.find(' ' .. have .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then
  redis.call('HSET', KEYS[1], ARGV[1], have .. ' ' .. ARGV[2])
end
return 0`

// endedScript removes one session of a user: KEYS viewers; ARGV as above. Returns 1
// if it was the user's last, 0 if there are others or it is not there.
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
