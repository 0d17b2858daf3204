// Embeddings and moderations through the gateway, with the npm SDKs, on the deployments of vectors.py.

import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { embedMany } from 'ai';
import OpenAI from 'openai';
import { GATEWAY, KEY, check, raises, run } from './harness.mjs';

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
const MODELS = ['openai', 'cohere', 'googleaistudio', 'mistral', 'voyage', 'ollama'].map((name) => `vectors/${name}`);
const TEXTS = ['four', 'seventeen letters'];
const BOTH = [[4, 0.5, -0.25], [17, 0.5, -0.25]];

for (const model of MODELS) {
  check(`${model}: vectors, by the library's own choice and as numbers`, async () => {
    const plain = await client.embeddings.create({ model, input: TEXTS });
    assert.deepEqual(plain.data.map((item) => Array.from(item.embedding)), BOTH);
    const numbers = await client.embeddings.create({ model, input: TEXTS, encoding_format: 'float' });
    assert.deepEqual(numbers.data.map((item) => item.embedding), BOTH);
    assert.equal(numbers.model, model);
  });

  check(`${model}: vectors with the AI SDK`, async () => {
    const provider = createOpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY });
    const { embeddings } = await embedMany({ model: provider.embedding(model), values: TEXTS, maxRetries: 0 });
    assert.deepEqual(embeddings, BOTH);
  });
}

check('what a model is known not to do', async () => {
  const ask = () => client.embeddings.create({ model: 'vectors/openai', input: 'x', dimensions: 9_999 });
  const error = await raises(OpenAI.BadRequestError, ask);
  assert.deepEqual([error.code, error.param], ['unsupported_parameter', 'dimensions']);
});

check('moderations', async () => {
  const { results } = await client.moderations.create({ model: 'omni-moderation-latest', input: ['fine', 'harm'] });
  assert.deepEqual(results.map((result) => result.flagged), [false, true]);
});

await run('npm vectors');
