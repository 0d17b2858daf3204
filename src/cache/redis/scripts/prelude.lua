-- Shared by all scripts. KEYS[1] is the prefix of all keys, with a hash tag.
--
--   g           the generation: how often the cache was emptied
--   e:<name>    an answer; Redis itself ends its time
--   m           the index: what is said of an answer, operation|key|bytes, by name
--   x           names by the moment their time is over
--   b           bytes of all answers together
local P = KEYS[1]

-- Removes an answer from everywhere; 1 if it was there.
local function drop(name)
    local about = redis.call('HGET', P .. 'm', name)
    if about then
        local bytes = tonumber(string.match(about, '|(%d+)$') or '0')
        if redis.call('DECRBY', P .. 'b', bytes) < 0 then redis.call('SET', P .. 'b', '0') end
        redis.call('HDEL', P .. 'm', name)
    end
    redis.call('ZREM', P .. 'x', name)
    return redis.call('DEL', P .. 'e:' .. name)
end
