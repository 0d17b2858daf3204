-- Raises the money of a hold: subject, operation, replica, money, budget. 1, or 0 where there is not enough.
local subject, replica, money, budget = ARGV[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local field = ARGV[2] .. '|' .. subject
local hold = read_hold(replica, field)
if not hold then return { '0' } end
local more = money - tonumber(hold.budget)
if more <= 0 then return { '1' } end
local s = redis.call('HMGET', P .. 'k:' .. subject, 'reset', 'start', 'epoch', 'spent')
if not s[1] then return { '0' } end
if s[1] == hold.reset and s[2] == hold.start and s[3] == hold.epoch then
    local held = redis.call('HGET', P .. 'k:' .. subject, held_field(s[1], s[2], s[3])) or '0'
    if more > budget - tonumber(s[4]) - tonumber(held) then return { '0' } end
end
hold_money(subject, hold, text(more))
hold.budget = ARGV[4]
redis.call('HSET', P .. 'r:' .. replica, field, cjson.encode(hold))
return { '1' }
