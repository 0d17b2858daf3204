// Sound and images through the gateway with the npm SDK, on the deployments of media.py.

import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';
import { GATEWAY, KEY, check, raises, run } from './harness.mjs';

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY, maxRetries: 0, timeout: 60_000 });
const LISTEN = ['openai', 'whisper', 'groq', 'mistral', 'gemini'].map((name) => `listen/${name}`);
const SPEAK = ['openai', 'mistral', 'gemini'].map((name) => `speak/${name}`);
const DRAW = ['openai', 'xai', 'gemini', 'openrouter', 'plain'].map((name) => `draw/${name}`);
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const picture = (name = 'one.png') => toFile(Buffer.from(PIXEL, 'base64'), name, { type: 'image/png' });

function wav() {
  const samples = Buffer.alloc(24_000);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(8_000, 24);
  head.writeUInt32LE(16_000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return toFile(Buffer.concat([head, samples]), 'talk.wav');
}

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

for (const model of LISTEN) {
  check(`${model}: a transcript, whole and streamed`, async () => {
    const whole = await client.audio.transcriptions.create({ model, file: await wav() });
    assert.ok(whole.text.length > 0);
    const events = await all(await client.audio.transcriptions.create({ model, file: await wav(), stream: true }));
    assert.equal(events.at(-1).type, 'transcript.text.done');
  });
}

for (const model of SPEAK) {
  check(`${model}: speech as it comes`, async () => {
    const reply = await client.audio.speech.create({ model, input: 'Grüße', voice: 'alloy', response_format: 'wav' });
    const pieces = await all(reply.body);
    assert.ok(pieces.reduce((sum, piece) => sum + piece.length, 0) > 10);
  });
}

for (const model of DRAW) {
  check(`${model}: images, whole and streamed`, async () => {
    const reply = await client.images.generate({ model, prompt: 'a cat' });
    assert.equal(reply.data[0].b64_json, PIXEL);
    const events = await all(await client.images.generate({ model, prompt: 'a cat', stream: true }));
    assert.equal(events.at(-1).type, 'image_generation.completed');
  });

  check(`${model}: edits of several images`, async () => {
    const image = [await picture('one.png'), await picture('two.png')];
    const reply = await client.images.edit({ model, prompt: 'a dog', image });
    assert.equal(reply.data[0].b64_json, PIXEL);
  });
}

check('what is no sound is refused by its field', async () => {
  const ask = async () => client.audio.transcriptions.create({ model: 'listen/openai', file: await picture() });
  const error = await raises(OpenAI.BadRequestError, ask);
  assert.equal(error.param, 'file');
});

await run('npm media');
