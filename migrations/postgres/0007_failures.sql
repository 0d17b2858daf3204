-- Failures of one key, model, deployment or provider, and those of a status among them.
--
-- What failed is rare, so these cost a request that succeeds nothing. Outcome and status come last: a page goes through
-- the ids in their order and skips what is not asked for without a look at the record.
CREATE INDEX operations_key_failed ON operations (key_id, id, outcome, http_status)
    WHERE outcome <> 'success' OR http_status <> 200;
CREATE INDEX operations_model_failed ON operations (public_model, id, outcome, http_status)
    WHERE outcome <> 'success' OR http_status <> 200;
CREATE INDEX operations_deployment_failed ON operations (deployment_id, id, outcome, http_status)
    WHERE outcome <> 'success' OR http_status <> 200;
CREATE INDEX operations_provider_failed ON operations (provider, id, outcome, http_status)
    WHERE outcome <> 'success' OR http_status <> 200;

-- A key's calls of one model, by the index of its calls.
DROP INDEX operations_key;
CREATE INDEX operations_key ON operations (key_id, id, public_model);

-- How long slow ones took, so that those of a bound in between need no look at the record.
DROP INDEX operations_10s;
DROP INDEX operations_60s;
DROP INDEX operations_300s;
CREATE INDEX operations_10s ON operations (id, duration_ms) WHERE duration_ms >= 10000;
CREATE INDEX operations_60s ON operations (id, duration_ms) WHERE duration_ms >= 60000;
CREATE INDEX operations_300s ON operations (id, duration_ms) WHERE duration_ms >= 300000;
