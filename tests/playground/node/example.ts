// What a user writes, checked by the compiler with --strict. Lines that have to be refused say so.
import { CredenceError, Policy, PolicyError, RequestError, check, importIstio, runCases } from 'credence-policy';
import type { Decision, Explanation, PolicyFault, Reason, Request, TestReport } from 'credence-policy';

const policy: Policy = new Policy('{}');
const request: Request = { peer: 'spiffe://example.org/a', method: 'GET', path: '/', port: 8443 };
const explanation: Explanation = policy.explain(request);
const decision: Decision = explanation.decision;
const reason: Reason = decision.reason;
export const would: string | undefined = decision.would?.rule;
export const verdicts = explanation.rules.map((rule) => {
  if (rule.verdict === 'does_not_match') return rule.field.toUpperCase();
  return rule.verdict === 'cannot_tell' ? rule.reason : reason;
});

const checked = check('{}');
export const first: PolicyFault | undefined = checked.ok ? undefined : checked.faults[0];
export const report: TestReport = runCases('', (file) => file.trim());
export const imported: string = importIstio([{ name: 'a', text: '' }], { labels: { app: 'a' } }).policy;

try {
  policy.decide({ plaintext: true, tcp: true, source: '10.0.0.1' });
} catch (error) {
  if (error instanceof PolicyError) error.faults.map((fault) => fault.line);
  else if (error instanceof RequestError) error.faults.map((fault) => fault.pointer);
  else if (error instanceof CredenceError) error.kind satisfies string;
}

// @ts-expect-error nobody asks
policy.explain({ method: 'GET' });
// @ts-expect-error a peer with a certificate is not one without
policy.explain({ peer: 'spiffe://example.org/a', plaintext: true });
// @ts-expect-error TCP has no path
policy.explain({ plaintext: true, tcp: true, path: '/' });
// @ts-expect-error a port is a number
policy.explain({ plaintext: true, port: '80' });
// @ts-expect-error there is no such reason
export const wrong: Reason = 'because';
// @ts-expect-error not known to be a fault before `ok` is looked at
export const unasked = checked.faults;
// @ts-expect-error answers cannot be written to
decision.decision = 'allow';
// @ts-expect-error errors are made by the module alone
new PolicyError();
// A type that is anything would let all of this pass.
type IsAny<T> = 0 extends 1 & T ? true : false;
export const typed: [IsAny<typeof explanation>, IsAny<typeof checked>, IsAny<typeof report>] = [false, false, false];
