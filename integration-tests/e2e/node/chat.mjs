// Chat completions through the gateway, with the npm SDK.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { ARGUMENTS, GATEWAY, HELLO, KEY, TEXT, TOOLS, check, collect, raises, run, textOf } from './harness.mjs';

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
const ask = (model, more = {}) => client.chat.completions.create({ model: `node/${model}`, messages: HELLO, ...more });
const stream = (model, more = {}) =>
  client.chat.completions.create({ model: `node-stream/${model}`, messages: HELLO, stream: true, ...more });

check('a JSON answer under the public name', async () => {
  const { data, response } = await ask('text').withResponse();
  assert.equal(data.choices[0].message.content, TEXT);
  assert.equal(data.model, 'node/text');
  assert.equal(data.usage.total_tokens, 32);
  assert.deepEqual(data.x_stub, { region: 'eu-test', attempt: 1 });
  assert.ok(response.headers.get('x-request-id'));
});

check('a stream, usage only when asked for', async () => {
  const plain = await collect(await stream('text'));
  assert.equal(textOf(plain), TEXT);
  assert.deepEqual([...new Set(plain.map((chunk) => chunk.model))], ['node-stream/text']);
  assert.ok(plain.every((chunk) => !chunk.usage && chunk.choices.length > 0));
  const counted = await collect(await stream('text', { stream_options: { include_usage: true } }));
  assert.equal(counted.at(-1).usage.total_tokens, 32);
});

check('parallel tool calls, JSON and stream', async () => {
  const json = (await ask('tools', { tools: TOOLS })).choices[0];
  assert.deepEqual(json.message.tool_calls.map((call) => call.function.arguments), ARGUMENTS);
  const runner = client.chat.completions.stream({ model: 'node-stream/tools', messages: HELLO, tools: TOOLS });
  const choice = (await runner.finalChatCompletion()).choices[0];
  assert.equal(choice.finish_reason, 'tool_calls');
  assert.deepEqual(choice.message.tool_calls.map((call) => call.function.arguments), ARGUMENTS);
  assert.deepEqual(choice.message.tool_calls.map((call) => call.id), ['call_stubWeather01', 'call_stubClock02']);
});

check('structured output through the parse helper', async () => {
  const format = zodResponseFormat(z.object({ city: z.string(), people: z.number() }), 'place');
  const reply = await client.chat.completions.parse({ model: 'node/structured', messages: HELLO, response_format: format });
  assert.equal(reply.choices[0].message.parsed.city, 'Köln');
});

check('unusual wrapping reads the same', async () => {
  for (const model of ['pings', 'crlf', 'split', 'finish-no-done']) {
    assert.equal(textOf(await collect(await stream(model))), TEXT, model);
    assert.equal((await ask(model)).choices[0].message.content, TEXT, model);
  }
});

for (const [model, kind, status, code] of [
  ['400', OpenAI.BadRequestError, 400, null],
  ['400-context', OpenAI.BadRequestError, 400, 'context_length_exceeded'],
  ['401', OpenAI.InternalServerError, 502, 'upstream_error'],
  ['429', OpenAI.RateLimitError, 429, 'rate_limit_exceeded'],
  ['500', OpenAI.InternalServerError, 502, 'upstream_error'],
  ['html-502', OpenAI.InternalServerError, 502, 'upstream_error'],
  ['stream-error-first', OpenAI.InternalServerError, 502, 'upstream_error'],
]) {
  check(`${model}: ${status} ${code}, JSON and stream`, async () => {
    const calls = model === '429' ? [ask] : [ask, async (name) => collect(await stream(name))];
    for (const call of calls) {
      const error = await raises(kind, () => call(model));
      assert.deepEqual([error.status, error.code], [status, code]);
      assert.ok(error.headers.get('x-request-id'));
      assert.ok(!/stub-|org-Stub|stub\.example/.test(error.message), error.message);
      if (model === '429') assert.ok(Number(error.headers.get('retry-after')) >= 1);
    }
  });
}

for (const model of ['stream-error-mid', 'eof-no-terminal', 'reset-mid']) {
  check(`${model}: the text so far, then an error`, async () => {
    const chunks = [];
    const error = await raises(OpenAI.APIError, async () => {
      for await (const chunk of await stream(model)) chunks.push(chunk);
    });
    assert.equal(textOf(chunks), 'Grüße aus');
    assert.equal(error.code, 'upstream_error');
  });
}

check('wrong key, unknown model', async () => {
  const stranger = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: `unified-${'a'.repeat(43)}`, maxRetries: 0 });
  const error = await raises(OpenAI.AuthenticationError, () => stranger.chat.completions.create({ model: 'node/text', messages: HELLO }));
  assert.equal(error.code, 'invalid_api_key');
  assert.equal((await raises(OpenAI.NotFoundError, () => ask('nothing'))).code, 'model_not_found');
});

check('models are listed and read', async () => {
  const ids = (await collect(await client.models.list())).map((model) => model.id);
  assert.ok(ids.includes('node/text'));
  assert.equal((await client.models.retrieve('node/text')).id, 'node/text');
});

check('an aborted stream ends at once', async () => {
  const slow = await stream('slow');
  const began = Date.now();
  for await (const chunk of slow) if (chunk.choices[0].delta.content) break;
  assert.ok(Date.now() - began < 1500);
});

await run('gateway, npm SDK');
