// What the npm suites share: cases, one line per result, and where everything is.

import assert from 'node:assert/strict';

export const { STUB, GATEWAY, KEY } = process.env;
export const TEXT = 'Grüße aus der Werkstatt:\nZeile zwei – 日本語 und 🦀.';
export const HELLO = [{ role: 'user', content: 'Hello' }];
export const TOOLS = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: {} } },
}));
export const ARGUMENTS = ['{"city":"Zürich","unit":"celsius"}', '{"zone": "Europe/Zurich",  "at": 1.50}'];

const cases = [];
export const check = (name, run) => cases.push({ name, run });

export async function run(suite) {
  for (const { name, run } of cases) {
    try {
      await run();
      console.log(`ok ${suite}: ${name}`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`FAIL ${suite}: ${name} (${error.constructor.name}: ${String(error.message).replace(/\s+/g, ' ').slice(0, 300)})`);
    }
  }
}

/** The block must fail with exactly this class; answers the error. */
export async function raises(kind, block) {
  try {
    await block();
  } catch (error) {
    assert.equal(error.constructor.name, kind.name, error.message);
    return error;
  }
  throw new Error(`wanted ${kind.name}, but it succeeded`);
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

export const textOf = (chunks, index = 0) =>
  chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index)).map((choice) => choice.delta.content ?? '').join('');
