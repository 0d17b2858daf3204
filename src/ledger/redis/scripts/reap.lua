-- Takes over what a silent replica holds: time, replica, heir. Answers field, cost, reset, start, epoch of each; the money
-- stays held by the heir until the store has it. At most 200 at a time.
local now, replica, heir = clock(ARGV[1]), ARGV[2], ARGV[3]
local beat = tonumber(redis.call('ZSCORE', P .. 'beats', replica) or '0')
if beat > now - 15000 then return {} end
local fields, answer = redis.call('HKEYS', P .. 'r:' .. replica), {}
for i = 1, math.min(#fields, 200) do
    local field = fields[i]
    local subject = string.match(field, '|(.*)$')
    if string.sub(subject, 1, 2) == 'd:' then
        release(replica, field, subject, 0, now)
    else
        local hold = read_hold(replica, field)
        redis.call('HDEL', P .. 'r:' .. replica, field)
        if not hold.done then free(subject, hold, tonumber(hold.tokens), now) end
        hold_money(subject, hold, '-' .. hold.budget)
        hold.budget, hold.done = hold.least, true
        hold_money(subject, hold, hold.least)
        redis.call('HSET', P .. 'r:' .. heir, field, cjson.encode(hold))
        for _, value in ipairs({ field, hold.least, hold.reset, hold.start, hold.epoch }) do
            answer[#answer + 1] = value
        end
    end
end
if #fields <= 200 then redis.call('ZREM', P .. 'beats', replica) end
return answer
