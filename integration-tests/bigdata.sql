-- `bigdata.days` days of recorded requests up to now, `bigdata.rows` in all, as a gateway would have stored them: twenty
-- busy models of three deployments and a rare one, fifty keys, a tag, rare failures. Keys, models, tags and failures are
-- independent of each other, so that every two of them meet. Attempts are left out; sums are made of the rows at the end.
SET synchronous_commit = off;
DO $$
DECLARE
    days  BIGINT := current_setting('bigdata.days')::bigint;
    rows  BIGINT := current_setting('bigdata.rows')::bigint;
    today BIGINT := extract(epoch FROM now())::bigint / 86400;
    per   BIGINT := rows / days;
BEGIN
    FOR day IN today - days + 1 .. today LOOP
        PERFORM usage_make_day(day);
        INSERT INTO operations (
            id, request_id, key_id, public_model, served_model, deployment_id, provider, operation, contract, stream,
            outcome, degraded, estimated, http_status, input_tokens, cache_read_tokens, cache_write_tokens,
            audio_input_tokens, output_tokens, reasoning_tokens, audio_output_tokens, cost_nanocents,
            upstream_nanocents, started_at, duration_ms, first_output_ms, request_bytes, dropped, finish_reason, error,
            config_revision, tags, lane, cache_hit
        )
        SELECT
            (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
            'req_' || hash, ('00000000-0000-7000-8000-' || lpad(to_hex(a % 50), 12, '0'))::uuid, model, model,
            ('00000000-0000-7000-9000-' || lpad(to_hex(b / 7 % 60), 12, '0'))::uuid,
            CASE b / 7 % 20 WHEN 0 THEN 'anthropic' WHEN 1 THEN 'gemini' ELSE 'openai' END,
            CASE WHEN b / 3 % 100 = 7 THEN 'embedding.create' ELSE 'text.generate' END, 'chat_completions', n % 3 = 0,
            CASE WHEN c % 50 = 3 THEN 'error' WHEN c % 1000 = 5 THEN 'blocked' WHEN c % 200 = 9 THEN 'cancelled'
                 ELSE 'success' END,
            c / 1000 % 100 = 13, false,
            CASE WHEN c % 50 <> 3 THEN 200 WHEN a / 50 % 2 = 0 THEN 503 ELSE 429 END,
            200 + n % 5000, n % 100, 0, 0,
            50 + n % 700, n % 40, 0, CASE WHEN n % 5000 <> 1 THEN 1000000 * (n % 900) END, 1000000 * (n % 900), ms,
            CASE WHEN n % 10000 = 0 THEN 400000 ELSE 300 + (n * 7919) % 14000 END, 200 + (n * 31) % 900, 4000,
            '[]', 'stop', CASE WHEN c % 50 = 3 THEN 'upstream' END, 5,
            CASE WHEN a / 100 % 50 = 11 THEN '["team-a"]' ELSE '[]' END, 'native', c / 1000 % 40 = 21
        FROM (
            SELECT n, md5(day || '-' || n) AS hash, day::bigint * 86400000 + n * 86400000 / per AS ms, a, b, c,
                   CASE WHEN n % 100000 = 77 THEN 'rare' ELSE 'model-' || b / 7 % 20 END AS model
            FROM (
                SELECT n, hashint8extended(n, day) & 2147483647 AS a, hashint8extended(n, day + 100000) & 2147483647 AS b,
                       hashint8extended(n, day + 200000) & 2147483647 AS c
                FROM generate_series(0, per - 1) AS n
            ) AS dice
        ) AS made
        WHERE day < today OR ms < extract(epoch FROM now())::bigint * 1000;
    END LOOP;
END $$;

INSERT INTO operation_tags (tag, operation_id)
SELECT 'team-a', id FROM operations WHERE tags <> '[]';
