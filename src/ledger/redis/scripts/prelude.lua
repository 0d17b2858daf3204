-- Shared by all scripts. KEYS[1] is the prefix of all keys, with a hash tag. Redis's own clock is the only one; tests may
-- state the time. Numbers travel as text; money in Lua's doubles is exact to 2^53 nano-cents, some 90,000 dollars.
--
--   gen                 the name of the ledger, and when it was born: a Redis that was emptied has none
--   beats               replicas by the time of their last sign of life
--   m:<subject>         requests and tokens by second, and places taken
--   k:<subject>         what the store says was spent (in the newest window and epoch), and what is held, by window and epoch
--   r:<replica>         what the replica holds
--   j:<replica>         records of the replica that are on their way to the store, with their versions
--   orphans             dead replicas that left records of a version that nobody who looked understood
local P = KEYS[1]
local DAY = 86400000

local function clock(given)
    if given ~= '' then return tonumber(given) end
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(number)
    return string.format('%.0f', number)
end

-- The first moments of a month and of the next. After "chrono-Compatible Low-Level Date Algorithms" (Howard Hinnant).
local function month(now)
    local days = math.floor(now / DAY) + 719468
    local era = math.floor(days / 146097)
    local doe = days - era * 146097
    local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
    local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
    local mp = math.floor((5 * doy + 2) / 153)
    local function first(m)
        local year = yoe + era * 400 + math.floor(m / 12)
        local e = math.floor(year / 400)
        local y = year - e * 400
        local d = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor((153 * (m % 12) + 2) / 5)
        return (e * 146097 + d - 719468) * DAY
    end
    return first(mp), first(mp + 1)
end

-- Start and end of the window; the end is -1 where there is none.
local function window(reset, now)
    local length, offset
    if reset == 'hourly' then
        length, offset = 3600000, 0
    elseif reset == 'daily' then
        length, offset = DAY, 0
    elseif reset == 'weekly' then
        length, offset = 7 * DAY, 4 * DAY
    elseif reset == 'monthly' then
        return month(now)
    else
        return 0, -1
    end
    local start = math.floor((now - offset) / length) * length + offset
    return start, start + length
end

-- What was used in the last 60 seconds, and places taken.
local function minute(subject, now)
    local key, second = P .. 'm:' .. subject, math.floor(now / 1000)
    local all, old = redis.call('HGETALL', key), {}
    local seen = { r = 0, t = 0, p = 0, rs = {}, ts = {}, second = second, now = now }
    for i = 1, #all, 2 do
        local field, value = all[i], tonumber(all[i + 1])
        if field == 'p' then
            seen.p = value
        else
            local kind, at = string.sub(field, 1, 1), tonumber(string.sub(field, 2))
            if at <= second - 60 then
                old[#old + 1] = field
            else
                seen[kind] = seen[kind] + value
                seen[kind .. 's'][at] = value
            end
        end
    end
    if #old > 0 then redis.call('HDEL', key, unpack(old)) end
    return seen
end

-- Milliseconds until `amount` more fits below `limit`; -1: never.
local function wait(seen, kind, limit, amount)
    if amount > limit then return -1 end
    local sum = seen[kind]
    for at = seen.second - 59, seen.second do
        if sum + amount <= limit then return (at - 1 + 60) * 1000 - seen.now end
        sum = sum - (seen[kind .. 's'][at] or 0)
    end
    return (seen.second + 60) * 1000 - seen.now
end

-- Milliseconds until nothing is counted any more.
local function empty(seen, kind)
    local last = nil
    for at, value in pairs(seen[kind .. 's']) do
        if value > 0 and (not last or at > last) then last = at end
    end
    if not last then return 0 end
    return (last + 60) * 1000 - seen.now
end

local function touch(subject)
    redis.call('PEXPIRE', P .. 'm:' .. subject, 7200000)
end

local function held_field(reset, start, epoch)
    return 'h|' .. reset .. '|' .. start .. '|' .. epoch
end

-- Changes the money held of a subject in a window and epoch. An empty epoch has no budget.
local function hold_money(subject, hold, change)
    if hold.epoch == '' or change == '0' or change == '-0' then return end
    local key, field = P .. 'k:' .. subject, held_field(hold.reset, hold.start, hold.epoch)
    if redis.call('HINCRBY', key, field, change) <= 0 then redis.call('HDEL', key, field) end
end

-- Spending of a key in the window of `start`, or nil where it is not known. A window that has ended gives way to the next,
-- in which nothing is spent yet: whatever is spent there is held here first.
local function spending(subject, reset, start)
    local key = P .. 'k:' .. subject
    local s = redis.call('HMGET', key, 'reset', 'start', 'epoch', 'spent')
    if not s[1] or s[1] ~= reset then return nil end
    if tonumber(s[2]) < start then
        redis.call('HSET', key, 'start', text(start), 'spent', '0')
        s[2], s[4] = text(start), '0'
    end
    local held = redis.call('HGET', key, held_field(reset, s[2], s[3])) or '0'
    return { start = tonumber(s[2]), epoch = s[3], spent = tonumber(s[4]), held = tonumber(held) }
end

-- What the store says was spent. It only grows within a window and epoch, so the largest word is the newest. Without
-- `seeds` it is noted only where spending is known.
local function note(subject, reset, start, epoch, spent, seeds)
    local key = P .. 'k:' .. subject
    local s = redis.call('HMGET', key, 'reset', 'start', 'epoch', 'spent')
    local known = s[1] and s[1] == reset
    if not known and not seeds then return end
    local is_newer = not known or tonumber(epoch) > tonumber(s[3])
        or (tonumber(epoch) == tonumber(s[3]) and tonumber(start) > tonumber(s[2]))
    local is_same = known and epoch == s[3] and start == s[2]
    if is_newer or (is_same and tonumber(spent) > tonumber(s[4])) then
        redis.call('HSET', key, 'reset', reset, 'start', start, 'epoch', epoch, 'spent', spent)
    end
end

-- Gives back the place and the tokens of a hold.
local function free(subject, hold, tokens, now)
    local m = P .. 'm:' .. subject
    if tonumber(redis.call('HGET', m, 'p') or '0') > 0 then redis.call('HINCRBY', m, 'p', -1) end
    local at = 't' .. hold.second
    if tonumber(hold.second) > math.floor(now / 1000) - 60 and redis.call('HEXISTS', m, at) == 1 then
        local rest = tonumber(redis.call('HGET', m, at)) - tonumber(hold.tokens) + tokens
        redis.call('HSET', m, at, text(math.max(0, rest)))
    end
end

local function read_hold(replica, field)
    local stored = redis.call('HGET', P .. 'r:' .. replica, field)
    if not stored then return nil end
    return cjson.decode(stored)
end

-- Ends a hold, if there is one.
local function release(replica, field, subject, tokens, now)
    local hold = read_hold(replica, field)
    if not hold then return end
    redis.call('HDEL', P .. 'r:' .. replica, field)
    if not hold.done then free(subject, hold, tokens, now) end
    hold_money(subject, hold, '-' .. hold.budget)
end
