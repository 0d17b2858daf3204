-- How a subject stands: time, subject, reset.
local now = clock(ARGV[1])
local start = window(ARGV[3], now)
local s, seen = spending(ARGV[2], ARGV[3], start), minute(ARGV[2], now)
local epoch, spent, held, at = '', '0', '0', text(start)
if s then epoch, spent, held, at = s.epoch, text(s.spent), text(s.held), text(s.start) end
return { epoch, spent, held, text(seen.p), text(seen.r), text(seen.t), at }
