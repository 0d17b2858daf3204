// All three contracts over every wire, with Anthropic's npm SDK and the Vercel AI SDK with three of its providers. The
// deployments are those of contracts.py.

import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, jsonSchema, streamText, tool } from 'ai';
import { GATEWAY, HELLO, KEY, check, raises, run } from './harness.mjs';

const SAID = 'Grüße "x" 🌍';
const STREAMED = 'Grüße, "world" \\ 🌍\n';
const WIRES = ['anthropic_messages', 'openai_responses', 'gemini'];
const anthropic = new Anthropic({ baseURL: GATEWAY, apiKey: KEY, maxRetries: 0 });
const message = (model) => ({ model, max_tokens: 100, messages: HELLO });

check('Anthropic SDK: a message over every wire', async () => {
  for (const wire of WIRES) {
    const { data, response } = await anthropic.messages.create(message(`${wire}/text`)).withResponse();
    assert.equal(data.content.map((block) => block.text ?? '').join(''), SAID, wire);
    assert.equal(data.stop_reason, 'end_turn', wire);
    assert.ok(data.usage.input_tokens > 0 && data.usage.output_tokens > 0, wire);
    assert.ok(response.headers.get('request-id'), wire);
  }
});

check('Anthropic SDK: the stream helper over every wire', async () => {
  for (const wire of WIRES) {
    const whole = await anthropic.messages.stream(message(`${wire}/text`)).finalMessage();
    assert.equal(whole.content.map((block) => block.text ?? '').join(''), STREAMED, wire);
    assert.ok(whole.usage.input_tokens > 0, wire);
  }
});

check('Anthropic SDK: errors of its own classes', async () => {
  await raises(Anthropic.NotFoundError, () => anthropic.messages.create(message('no/such')));
  const stranger = new Anthropic({ baseURL: GATEWAY, apiKey: 'sk-ant-nobody', maxRetries: 0 });
  await raises(Anthropic.AuthenticationError, () => stranger.messages.create(message('gemini/text')));
});

const openai = createOpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY });
const PROVIDERS = {
  'openai, Responses': (model) => openai.responses(model),
  'openai, Chat Completions': (model) => openai.chat(model),
  anthropic: createAnthropic({ baseURL: `${GATEWAY}/v1`, apiKey: KEY }),
  'openai-compatible': createOpenAICompatible({ name: 'gateway', baseURL: `${GATEWAY}/v1`, apiKey: KEY, includeUsage: true }),
};
const anything = jsonSchema({ type: 'object', properties: {}, additionalProperties: true });
const tools = Object.fromEntries(['f', 'g', 'get_weather', 'get_time'].map((name) => [name, tool({ inputSchema: anything })]));

for (const [name, provider] of Object.entries(PROVIDERS)) {
  check(`AI SDK, ${name}: text over every wire, whole and streamed`, async () => {
    for (const wire of WIRES) {
      const whole = await generateText({ model: provider(`${wire}/text`), prompt: 'Hello', maxRetries: 0 });
      assert.equal(whole.text, SAID, wire);
      assert.equal(whole.finishReason, 'stop', wire);
      assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0, wire);
      const stream = streamText({ model: provider(`${wire}/text`), prompt: 'Hello', maxRetries: 0 });
      assert.equal(await stream.text, STREAMED, wire);
      assert.ok((await stream.usage).inputTokens > 0, wire);
    }
  });

  check(`AI SDK, ${name}: parallel calls and reasoning`, async () => {
    for (const [model, calls, thought] of [
      ['anthropic_messages/thinking_and_tools', [['f', { z: 1.5, a: [1] }], ['g', {}]], /^T\.$/],
      ['openai_responses/reasoning_and_tools', [['f', { city: 'Paris', n: 1.5 }], ['g', {}]], /^One\.\s*Two\.$/],
      ['gemini/parallel_tools', [['get_weather', { city: 'Zürich', n: 1.5 }], ['get_time', {}]], null],
    ]) {
      const whole = await generateText({ model: provider(model), prompt: 'Hello', tools, maxRetries: 0 });
      assert.deepEqual(whole.toolCalls.map((call) => [call.toolName, call.input]), calls, model);
      assert.equal(whole.finishReason, 'tool-calls', model);
      // OpenAI's own Chat Completions has no words of reasoning, and its client reads none.
      if (thought && name !== 'openai, Chat Completions') {
        assert.match(whole.reasoning.map((part) => part.text).join('\n'), thought, model);
      }
    }
  });

  check(`AI SDK, ${name}: errors keep their status`, async () => {
    const error = await raises(APICallError, () => generateText({ model: provider('no/such'), prompt: 'Hello', maxRetries: 0 }));
    assert.equal(error.statusCode, 404);
  });
}

await run('contracts, npm');
