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
