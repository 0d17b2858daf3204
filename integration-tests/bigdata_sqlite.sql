-- The same as bigdata.sql for SQLite; $DAYS, $ROWS, $TODAY (days since 1970) and $NOW (milliseconds) are filled in.
INSERT INTO operations (
    id, request_id, key_id, public_model, served_model, deployment_id, provider, operation, contract, stream, outcome,
    degraded, estimated, http_status, input_tokens, cache_read_tokens, cache_write_tokens, audio_input_tokens,
    output_tokens, reasoning_tokens, audio_output_tokens, cost_nanocents, upstream_nanocents, started_at, duration_ms,
    first_output_ms, request_bytes, dropped, finish_reason, error, config_revision, tags, lane, cache_hit, stored_in
)
WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < $ROWS),
dice AS (
    SELECT n, ($TODAY - $DAYS + 1) * 86400000 + n * 86400000 / ($ROWS / $DAYS) AS ms,
           n * 2654435761 % 4294967291 / 1000 AS a, n * 1597334677 % 4294967291 / 1000 AS b,
           n * 3812015801 % 4294967291 / 1000 AS c
    FROM counted
),
made AS (SELECT *, CASE WHEN n % 100000 = 77 THEN 'rare' ELSE 'model-' || (b / 7 % 20) END AS model FROM dice)
SELECT
    unhex(printf('%012x7%03x8%015x', ms, a % 4096, n * 1000003)), printf('req_%032x', n * 1000003),
    unhex(printf('00000000000070008000%012x', a % 50)), model, model,
    unhex(printf('00000000000070009000%012x', b / 7 % 60)),
    CASE b / 7 % 20 WHEN 0 THEN 'anthropic' WHEN 1 THEN 'gemini' ELSE 'openai' END,
    CASE WHEN b / 3 % 100 = 7 THEN 'embedding.create' ELSE 'text.generate' END, 'chat_completions', n % 3 = 0,
    CASE WHEN c % 50 = 3 THEN 'error' WHEN c % 1000 = 5 THEN 'blocked' WHEN c % 200 = 9 THEN 'cancelled'
         ELSE 'success' END,
    c / 1000 % 100 = 13, 0, CASE WHEN c % 50 <> 3 THEN 200 WHEN a / 50 % 2 = 0 THEN 503 ELSE 429 END,
    200 + n % 5000, n % 100, 0, 0, 50 + n % 700, n % 40, 0, CASE WHEN n % 5000 <> 1 THEN 1000000 * (n % 900) END,
    1000000 * (n % 900), ms, CASE WHEN n % 10000 = 0 THEN 400000 ELSE 300 + (n * 7919) % 14000 END,
    200 + (n * 31) % 900, 4000, '[]', 'stop', CASE WHEN c % 50 = 3 THEN 'upstream' END, 5,
    CASE WHEN a / 100 % 50 = 11 THEN '["team-a"]' ELSE '[]' END, 'native', c / 1000 % 40 = 21, n / 200
FROM made WHERE ms < $NOW;

UPDATE record_sequence SET last = $ROWS;
