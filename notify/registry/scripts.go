package registry

// keepScript keeps an entry ("epoch position body") unless there is a newer one of
// the same log.
//
//	KEYS  the user's
//	ARGV  epoch, position, body, milliseconds
const keepScript = `
local epoch, at = string.match(redis.call('GET', KEYS[1]) or '', '^(%S*) (%d+) ')
if epoch == ARGV[1] and tonumber(at) > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], 'PX', ARGV[4])
return 1
`

// pushedScript notes the newest push under a collapse key: its position in the log,
// and a half where it takes back what was shown. The newest are kept. Positions of
// another log count no more: the member "" says which log they are of.
//
//	KEYS  the user's
//	ARGV  collapse key, score, most kept, milliseconds, number of the log
const pushedScript = `
if tonumber(redis.call('ZSCORE', KEYS[1], '') or '0') ~= tonumber(ARGV[5]) then
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], ARGV[5], '')
end
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
local over = redis.call('ZCARD', KEYS[1]) - 1 - tonumber(ARGV[3])
if over > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`
