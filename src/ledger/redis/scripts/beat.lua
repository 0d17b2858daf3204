-- A sign of life: time, replica, a name for the ledger if it has none. Answers the ledger's name and a silent replica.
local now = clock(ARGV[1])
redis.call('SET', P .. 'gen', ARGV[3] .. ':' .. text(now), 'NX')
redis.call('ZADD', P .. 'beats', text(now), ARGV[2])
local silent = redis.call('ZRANGEBYSCORE', P .. 'beats', '-inf', text(now - 15000), 'LIMIT', 0, 1)
return { redis.call('GET', P .. 'gen'), silent[1] or '' }
