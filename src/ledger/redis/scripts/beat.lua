-- A sign of life: time, replica, a name for the ledger if it has none, newest version of records that it understands.
-- Answers the ledger's name, a silent replica or one whose records it was left for, how many records are kept for it,
-- and the time.
local now = clock(ARGV[1])
redis.call('SET', P .. 'gen', ARGV[3] .. ':' .. text(now), 'NX')
redis.call('ZADD', P .. 'beats', text(now), ARGV[2])
local silent = redis.call('ZRANGEBYSCORE', P .. 'beats', '-inf', text(now - 15000), 'LIMIT', 0, 1)
if not silent[1] then silent = redis.call('ZRANGEBYSCORE', P .. 'orphans', '-inf', ARGV[4], 'LIMIT', 0, 1) end
return { redis.call('GET', P .. 'gen'), silent[1] or '', text(redis.call('HLEN', P .. 'j:' .. ARGV[2])), text(now) }
