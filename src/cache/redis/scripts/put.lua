-- Keeps an answer: name, operation, key, time to live in ms, generation, most bytes, most answers, the answer. 1 if it is
-- kept. Nothing is kept of an earlier generation, nor where 200 others do not make room enough.
local name, ttl = ARGV[1], tonumber(ARGV[4])
if (redis.call('GET', P .. 'g') or '0') ~= ARGV[5] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
drop(name)
for _, over in ipairs(redis.call('ZRANGEBYSCORE', P .. 'x', '-inf', now, 'LIMIT', 0, 200)) do drop(over) end
-- The index takes some room, too.
local bytes = string.len(ARGV[8]) + 512
local function is_full()
    return tonumber(redis.call('GET', P .. 'b') or '0') + bytes > tonumber(ARGV[6])
        or redis.call('ZCARD', P .. 'x') >= tonumber(ARGV[7])
end
local tries = 0
while is_full() do
    local soonest = redis.call('ZRANGE', P .. 'x', 0, 0)[1]
    tries = tries + 1
    if not soonest or tries > 200 then return 0 end
    drop(soonest)
end
redis.call('SET', P .. 'e:' .. name, ARGV[8], 'PX', ARGV[4])
redis.call('HSET', P .. 'm', name, ARGV[2] .. '|' .. ARGV[3] .. '|' .. string.format('%.0f', bytes))
redis.call('ZADD', P .. 'x', string.format('%.0f', now + ttl), name)
redis.call('INCRBY', P .. 'b', string.format('%.0f', bytes))
return 1
