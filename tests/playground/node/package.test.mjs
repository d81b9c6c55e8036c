// The package as it is built, in Node: node --test, beside a node_modules with the package in it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import {
  CasesError,
  CredenceError,
  ImportError,
  Policy,
  PolicyError,
  RequestError,
  check,
  decisionInWords,
  importIstio,
  runCases,
  runCasesFile,
} from 'credence-policy';
import * as everything from 'credence-policy';

const FRONTEND = 'spiffe://example.org/frontend';
const TEXT = JSON.stringify({
  trustDomains: ['example.org'],
  rules: [
    { name: 'reads', principals: [FRONTEND], methods: ['GET'], paths: ['/api/*'] },
    { name: 'soon', action: 'DENY', dryRun: true, paths: ['/api/old'] },
    { name: 'watched', action: 'AUDIT', paths: ['/api/watched'] },
  ],
});
const BAD = '{\n  "trustDomains": ["example.org"],\n  "rules": [\n    {"name": "a b"}\n  ]\n}';

test('a policy decides and says why', () => {
  const policy = new Policy(TEXT);
  assert.deepEqual(policy.about(), {
    summary: 'a policy of 3 rules', rules: ['reads', 'soon', 'watched'], servers: 0, needs: [], dryRun: false,
  });
  const told = policy.explain({ peer: FRONTEND, method: 'GET', path: '/api/old' });
  assert.deepEqual(told.decision, {
    decision: 'allow', reason: 'allow_rule', rule: 'reads', would: { decision: 'deny', reason: 'deny_rule', rule: 'soon' },
  });
  assert.equal(told.ruleIndex, 0);
  assert.equal(told.rules[2].why, '`paths` does not match');
  assert.equal(decisionInWords(told.decision), 'allow (allow_rule: reads)');
  assert.deepEqual(policy.decide({ plaintext: true, method: 'GET', path: '/' }), { decision: 'deny', reason: 'mtls_required' });
  policy.free();
  assert.throws(() => policy.about());
});

test('faults have lines, and errors have kinds', () => {
  const checked = check(BAD);
  assert.equal(checked.ok, false);
  assert.deepEqual(checked.faults.map(({ pointer, line, column }) => [pointer, line, column]), [['/rules/0/name', 4, 6]]);
  assert.equal(check(TEXT).ok, true);
  const caught = (run) => {
    try {
      run();
    } catch (error) {
      assert.ok(error instanceof CredenceError && error instanceof Error);
      return error;
    }
    return assert.fail('nothing was thrown');
  };
  const policyError = caught(() => new Policy(BAD));
  assert.ok(policyError instanceof PolicyError);
  assert.equal(policyError.name, 'PolicyError');
  assert.match(policyError.message, /^\/rules\/0\/name: /);
  assert.equal(policyError.faults[0].line, 4);
  const requestError = caught(() => new Policy(TEXT).explain({ peer: 'x', port: 0 }));
  assert.ok(requestError instanceof RequestError);
  assert.deepEqual(requestError.faults.map(({ pointer }) => pointer), ['/peer', '/port']);
  assert.ok(caught(() => runCases('')) instanceof CasesError);
  assert.ok(caught(() => runCases('policy: x\ncases: []', () => BAD)) instanceof PolicyError);
  const importError = caught(() => importIstio([{ name: 'a.yaml', text: 'a: b: c' }]));
  assert.ok(importError instanceof ImportError);
  assert.equal(importError.kind, 'import');
});

test('what is no text is a TypeError, what is too long is refused', () => {
  for (const wrong of [undefined, null, 1, {}, ['x'], Symbol('x')]) {
    assert.throws(() => check(wrong), TypeError);
    assert.throws(() => new Policy(wrong), TypeError);
    assert.throws(() => runCases(wrong), TypeError);
  }
  for (const wrong of [undefined, null, 1, 'x', []]) {
    assert.throws(() => new Policy(TEXT).explain(wrong), TypeError);
  }
  assert.throws(() => runCases('policy: x\ncases: []', () => undefined), TypeError);
  assert.throws(() => check(' '.repeat(48 * 1024 * 1024 + 1)), RangeError);
  assert.match(check(' '.repeat(16 * 1024 * 1024 + 1)).faults[0].message, /at most/);
  assert.equal(check('[').ok, false);
  assert.equal(check('\ud800').ok, false);
  assert.equal(check('['.repeat(100_000)).ok, false);
});

test('a file of cases is run as the command runs it', () => {
  const folder = process.env.CREDENCE_CASES ?? assert.fail('CREDENCE_CASES names the folder with cases.yaml');
  const report = runCasesFile(join(folder, 'cases.yaml'));
  assert.deepEqual([report.cases, report.failed], [4, 0]);
  const cases = readFileSync(join(folder, 'cases.yaml'), 'utf8').replace('expect: allow', 'expect: deny');
  const wrong = runCases(cases, (file) => readFileSync(join(folder, file), 'utf8'));
  assert.equal(wrong.failed, 1);
  assert.deepEqual(wrong.results[0].expected, { decision: 'deny' });
  assert.throws(() => runCasesFile(join(tmpdir(), 'nowhere', 'cases.yaml')), { code: 'ENOENT' });
});

const ISTIO = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reads, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
  - from:
    - source: {principals: [cluster.local/ns/web/sa/frontend]}
    to:
    - operation: {methods: [GET], paths: [/orders/*]}
`;

test('Istio is imported', () => {
  const imported = importIstio([{ name: 'a.yaml', text: ISTIO }], { trustDomain: 'example.org' });
  assert.equal(imported.warnings[0].place.file, 'a.yaml');
  const policy = new Policy(imported.policy);
  const request = { peer: 'spiffe://example.org/ns/web/sa/frontend', method: 'GET', path: '/orders/1' };
  assert.equal(policy.decide(request).decision, 'allow');
});

// Answers as literals for the compiler: a field that the types do not know, or know otherwise, does not compile.
test('answers are written down for the compiler', () => {
  const policy = new Policy(TEXT);
  const tcp = new Policy(JSON.stringify({ trustDomains: ['example.org'], dryRun: true, rules: JSON.parse(TEXT).rules }));
  const answers = [
    ['Explanation', policy.explain({ peer: FRONTEND, method: 'GET', path: '/api/old' })],
    ['Explanation', policy.explain({ peer: FRONTEND, method: 'GET', path: '/api//x' })],
    ['Explanation', policy.explain({ peer: FRONTEND, method: 'GET', path: '/api/watched' })],
    ['Explanation', policy.explain({ plaintext: true })],
    ['Explanation', tcp.explain({ peer: FRONTEND, tcp: true })],
    ['Checked', check(TEXT)],
    ['Checked', check(BAD)],
    ['Checked', check(JSON.stringify({ role: 'certificates', certificates: { cluster: 'admin' } }))],
    ['Imported', importIstio([{ name: 'a.yaml', text: ISTIO }])],
    ['TestReport', runCases(JSON.stringify({
      policy: JSON.parse(TEXT),
      cases: [
        { name: 'a', plaintext: true, expect: { decision: 'deny', reason: 'mtls_required', would: 'deny' } },
        { name: 'b', peer: FRONTEND, method: 'GET', path: '/api/x', expect: { decision: 'deny', rule: 'soon' } },
      ],
    }))],
  ];
  const lines = answers.map(([type, value], index) => `export const answer${index}: ${type} = ${JSON.stringify(value)};`);
  const types = [...new Set(answers.map(([type]) => type))].join(', ');
  const names = Object.keys(everything).sort().join(', ');
  const text = [`import type { ${types} } from 'credence-policy';`, `export { ${names} } from 'credence-policy';`, ...lines, ''];
  const out = process.env.CREDENCE_ANSWERS ?? assert.fail('CREDENCE_ANSWERS names the file to write');
  writeFileSync(out, text.join('\n'));
});
