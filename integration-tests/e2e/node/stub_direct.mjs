// The stub is true: the official SDK reads its answers, without a gateway in between.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { ARGUMENTS, HELLO, STUB, TEXT, TOOLS, check, collect, raises, run, textOf } from './harness.mjs';

const client = new OpenAI({ baseURL: `${STUB}/v1`, apiKey: 'sk-direct', maxRetries: 0, timeout: 20_000 });
const ask = (model, more = {}) => client.chat.completions.create({ model, messages: HELLO, ...more });

check('text, JSON and stream', async () => {
  const reply = await ask('stub-text');
  assert.equal(reply.choices[0].message.content, TEXT);
  assert.equal(reply.usage.prompt_tokens_details.cached_tokens, 4);
  assert.equal(textOf(await collect(await ask('stub-text', { stream: true }))), TEXT);
});

check('parallel tool calls as a stream', async () => {
  const completion = await client.chat.completions.stream({ model: 'stub-tools', messages: HELLO, tools: TOOLS }).finalChatCompletion();
  assert.deepEqual(completion.choices[0].message.tool_calls.map((call) => call.function.arguments), ARGUMENTS);
});

check('unusual wrapping reads the same', async () => {
  for (const model of ['stub-pings', 'stub-crlf', 'stub-split', 'stub-gzip']) {
    assert.equal(textOf(await collect(await ask(model, { stream: true }))), TEXT, model);
  }
});

check('errors are the SDK\'s exceptions', async () => {
  assert.equal((await raises(OpenAI.BadRequestError, () => ask('stub-400'))).param, 'temperature');
  assert.equal((await raises(OpenAI.RateLimitError, () => ask('stub-429'))).headers.get('retry-after'), '7');
  await raises(OpenAI.APIError, async () => collect(await ask('stub-stream-error-mid', { stream: true })));
});

await run('stub, npm SDK');
