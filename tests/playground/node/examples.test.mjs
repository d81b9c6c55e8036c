// The page's examples are what they say: each policy is one, and each of its cases passes.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { Policy, check, importIstio, runCases } from 'credence-policy';

const page = process.env.CREDENCE_PAGE ?? assert.fail('CREDENCE_PAGE names the folder of the page');
const { EXAMPLES, ISTIO } = await import(pathToFileURL(join(page, 'examples.js')));
const { fromFragment, toFragment } = await import(pathToFileURL(join(page, 'share.js')));

for (const example of EXAMPLES) {
  test(example.name, () => {
    assert.equal(check(example.policy).ok, true);
    const report = runCases(example.cases, () => example.policy);
    assert.deepEqual(report.results.filter(({ asExpected }) => !asExpected), []);
    const policy = new Policy(example.policy);
    const decided = example.requests.map(({ request }) => policy.decide(request).decision);
    assert.deepEqual([...new Set(decided)].sort(), ['allow', 'deny'], 'the examples show both');
  });
}

test('the Istio example is imported', () => {
  assert.equal(check(importIstio([{ name: 'a', text: ISTIO }], { trustDomain: 'example.org' }).policy).ok, true);
});

test('a link holds what it was made of', async () => {
  const state = { policy: EXAMPLES[0].policy.repeat(3), request: { peer: 'é\u0000"', port: 1 } };
  assert.deepEqual(await fromFragment(await toFragment(state)), state);
});

test('a link of somebody else’s is read with care', async () => {
  const bomb = await toFragment({ policy: ' '.repeat(500 * 1024), request: {} });
  assert.ok(bomb.length < 4096);
  await assert.rejects(toFragment({ policy: ' '.repeat(600 * 1024), request: {} }), RangeError);
  const deflated = async (text) => {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate-raw'));
    return `1.${Buffer.from(await new Response(stream).arrayBuffer()).toString('base64url')}`;
  };
  const huge = await deflated(JSON.stringify({ policy: ' '.repeat(40 * 1024 * 1024), request: {} }));
  const texts = await Promise.all(['[]', '{"policy": 1, "request": {}}', '{"policy": ""}', 'null', '{'].map(deflated));
  for (const wrong of ['', '1.', '1.!', '2.abcd', '1.abcd', 'x'.repeat(70_000), huge, ...texts]) {
    assert.equal(await fromFragment(wrong), undefined, wrong.slice(0, 40));
  }
});
