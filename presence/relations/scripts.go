package relations

// keepScript takes an entry, unless it has that or a newer one of the same log:
// KEYS relations; ARGV epoch of the log, position, milliseconds to live, users
// and what they are. What is there lives no longer than that either.
const keepScript = `
local have = redis.call('HMGET', KEYS[1], '.log', '.at')
if have[1] == ARGV[1] and tonumber(have[2]) >= tonumber(ARGV[2]) then
  if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '.log', ARGV[1], '.at', ARGV[2])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`
