-- All or nothing: time, subject, operation, replica, name of the ledger, youth in ms, rpm, tpm, parallel, budget, reset,
-- tokens, hold, least cost, what the request is. Limits that are not there are empty.
local now = clock(ARGV[1])
local subject, operation, replica, reset = ARGV[2], ARGV[3], ARGV[4], ARGV[11]
local rpm, tpm, parallel = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local budget, tokens, hold = tonumber(ARGV[10]), tonumber(ARGV[12]), tonumber(ARGV[13])
local gen = redis.call('GET', P .. 'gen')
if not gen or gen ~= ARGV[5] then return { 'EMPTY' } end
local field = operation .. '|' .. subject
if redis.call('EXISTS', P .. 'd:' .. field) == 1 then return { 'EMPTY' } end
if (budget or parallel) and now - tonumber(string.match(gen, ':(%d+)$')) < tonumber(ARGV[6]) then return { 'YOUNG' } end
local start, finish = window(reset, now)
local s = nil
if budget then
    s = spending(subject, reset, start)
    if not s then return { 'SEED', text(start) } end
    -- A clock that went back: the window in force stays.
    if s.start > start then start, finish = s.start, select(2, window(reset, s.start)) end
end
local seen = minute(subject, now)
local word, pause = 'HELD', -1
local till = finish
if till >= 0 then till = finish - now end
if s and budget - s.spent <= 0 then
    word, pause = 'SPENT', till
elseif s and hold > budget - s.spent then
    word = 'SMALL'
    if hold <= budget then pause = till end
elseif rpm and seen.r >= rpm then
    word, pause = 'REQUESTS', wait(seen, 'r', rpm, 1)
elseif tpm and tokens > tpm then
    word = 'MANY'
elseif tpm and seen.t + tokens > tpm then
    word, pause = 'TOKENS', wait(seen, 't', tpm, tokens)
elseif parallel and seen.p >= parallel then
    word, pause = 'PARALLEL', 1000
elseif s and hold > budget - s.spent - s.held then
    word, pause = 'RESERVED', 1000
end
if word == 'HELD' then
    local m, at = P .. 'm:' .. subject, text(seen.second)
    if rpm then
        redis.call('HINCRBY', m, 'r' .. at, 1)
        seen.r = seen.r + 1
        seen.rs[seen.second] = (seen.rs[seen.second] or 0) + 1
    end
    if tpm then
        redis.call('HINCRBY', m, 't' .. at, ARGV[12])
        seen.t = seen.t + tokens
        seen.ts[seen.second] = (seen.ts[seen.second] or 0) + tokens
    end
    redis.call('HINCRBY', m, 'p', 1)
    touch(subject)
    local epoch = ''
    if s then epoch = s.epoch end
    local held = { second = at, tokens = ARGV[12], budget = ARGV[13], reset = reset, start = text(start),
        epoch = epoch, least = ARGV[14], about = ARGV[15] }
    hold_money(subject, held, ARGV[13])
    if s then s.held = s.held + hold end
    redis.call('HSET', P .. 'r:' .. replica, field, cjson.encode(held))
end
local spent, held, epoch = '0', '0', ''
if s then spent, held, epoch = text(s.spent), text(s.held), s.epoch end
return { word, text(now), text(pause), text(start), text(finish), epoch, text(seen.r), text(empty(seen, 'r')),
    text(seen.t), text(empty(seen, 't')), spent, held }
