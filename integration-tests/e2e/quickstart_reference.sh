# Step 2: register a deployment
curl -X POST $BASE/admin/deployments \
  -H "Authorization: Bearer $MASTER_KEY" -H "content-type: application/json" -d '{
    "publicModel": "general",
    "provider": "openai",
    "upstreamModel": "gpt-5.4",
    "credentials": { "apiKey": "sk-..." }
  }'

# Step 3: issue a virtual key
curl -X POST $BASE/admin/keys \
  -H "Authorization: Bearer $MASTER_KEY" -H "content-type: application/json" -d '{
    "name": "my-app",
    "allowedModels": ["general"]
  }'

# Step 4: make a call
curl -X POST $BASE/v1/chat/completions \
  -H "Authorization: Bearer unified-..." -H "content-type: application/json" -d '{
    "model": "general",
    "messages": [{ "role": "user", "content": "Say hello in one word." }]
  }'

# Step 4, with the official SDK
python3 - <<'PYTHON'
from openai import OpenAI

client = OpenAI(base_url="http://localhost:4000/v1", api_key="unified-...")
resp = client.chat.completions.create(
    model="general",
    messages=[{"role": "user", "content": "Say hello in one word."}],
)
print(resp.choices[0].message.content)
PYTHON

# Step 1, once more: it is up
curl http://localhost:4000/health/ready   # 200 once Postgres + Redis + extensions are healthy
