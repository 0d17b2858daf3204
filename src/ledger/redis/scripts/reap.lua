-- Takes over what a silent replica left: time, replica, heir, newest version of records that the heir understands. Answers
-- seven words for each: field, cost, reset, start, epoch, record, what the request was. A record without a hold has no cost; a hold without a
-- record was never closed, and is charged with the least it costs. The money stays held by the heir until the store has
-- it. Records of newer versions stay, with their holds, for a newer replica. At most 200 at a time.
local now, replica, heir, version = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local beat = tonumber(redis.call('ZSCORE', P .. 'beats', replica) or '0')
if beat > now - 15000 then return {} end
local from, to = P .. 'j:' .. replica, P .. 'j:' .. heir
local answer, count, newer, full = {}, 0, nil, false
local function inherit(field, record)
    local hold, subject = read_hold(replica, field), string.match(field, '|(.*)$')
    local words = { field, '', '', '', '', record, '' }
    if hold then
        redis.call('HDEL', P .. 'r:' .. replica, field)
        if not hold.done then free(subject, hold, tonumber(hold.tokens), now) end
        hold_money(subject, hold, '-' .. hold.budget)
        hold.budget, hold.done = hold.least, true
        hold_money(subject, hold, hold.least)
        redis.call('HSET', P .. 'r:' .. heir, field, cjson.encode(hold))
        words = { field, hold.least, hold.reset, hold.start, hold.epoch, record, hold.about or '' }
    end
    for _, word in ipairs(words) do answer[#answer + 1] = word end
    count = count + 1
end
for _, field in ipairs(redis.call('HKEYS', from)) do
    local record = redis.call('HGET', from, field)
    local needed = tonumber(string.match(record, '^(%d+) ')) or 0
    if needed > version then
        newer = math.min(newer or needed, needed)
    elseif count >= 200 then
        full = true
        break
    else
        redis.call('HDEL', from, field)
        redis.call('HSET', to, field, record)
        inherit(field, record)
    end
end
for _, field in ipairs(redis.call('HKEYS', P .. 'r:' .. replica)) do
    if full then break end
    local subject = string.match(field, '|(.*)$')
    if string.sub(subject, 1, 2) == 'd:' then
        release(replica, field, subject, 0, now)
    elseif redis.call('HEXISTS', from, field) == 0 then
        full = count >= 200
        if not full then inherit(field, '') end
    end
end
if not full then
    redis.call('ZREM', P .. 'beats', replica)
    redis.call('ZREM', P .. 'orphans', replica)
    if newer then redis.call('ZADD', P .. 'orphans', newer, replica) end
end
return answer
