// How answers are shown. Everything is set as text: what a policy says is never taken for HTML.
import { at, make, say } from './dom.js';
import { decisionInWords, noteInWords } from './api.js';

/** Whether the policy is one, and its faults. */
export function showPolicy(checked, go) {
  const pill = at('summary');
  at('faults').replaceChildren();
  if (checked.ok && checked.role !== undefined) {
    pill.dataset.state = 'bad';
    say(pill, `a configuration of the role ${checked.role}, which decides nothing`);
  } else if (checked.ok) {
    pill.dataset.state = checked.policy.dryRun ? 'dry' : 'good';
    say(pill, checked.policy.summary);
  } else {
    const count = checked.faults.length + checked.unlisted;
    pill.dataset.state = 'bad';
    say(pill, count === 1 ? '1 fault' : `${count} faults`);
    at('faults').replaceChildren(...checked.faults.map((fault) => faultItem(fault, go)));
  }
}

function faultItem(fault, go) {
  const place = make('code', {}, `line ${fault.line}, ${fault.pointer || '/'}`);
  const button = make('button', { type: 'button' }, place, ` ${fault.message}`);
  button.addEventListener('click', () => go(fault));
  return make('li', {}, button);
}

/** A decision with its reasons. */
export function showDecision({ decision, sentence, ruleIndex, rules }) {
  at('answer').dataset.decision = decision.decision;
  say(at('word'), decision.decision);
  say(at('reason'), decision.rule === undefined ? decision.reason : `${decision.reason}: ${decision.rule}`);
  say(at('sentence'), sentence);
  say(at('would'), decision.would === undefined ? '' : `If nothing were a dry run: ${decisionInWords(decision.would)}`);
  say(at('audited'), decision.audited === undefined ? '' : `Audited by ${decision.audited.join(', ')}`);
  at('rules').tBodies[0].replaceChildren(...rules.map((rule, index) => ruleRow(rule, index === ruleIndex)));
}

function ruleRow({ name, action, dryRun, verdict, why }, decides) {
  const tag = make('td', {}, make('span', { className: `tag ${action}` }, action));
  if (dryRun) tag.append(' ', make('span', { className: 'tag dry' }, 'dry run'));
  const heading = make('th', { scope: 'row' }, name);
  if (decides) heading.append(make('span', { className: 'hidden' }, ' (decides)'));
  const state = decides ? 'decides' : verdict === 'matches' ? 'matches' : 'still';
  return make('tr', { className: state }, heading, tag, make('td', {}, ...inCode(why)));
}

/** What stands between backticks is code. */
function inCode(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? make('code', {}, part) : part));
}

/** Why there is no decision. */
export function showNoDecision(text) {
  at('answer').dataset.decision = 'none';
  say(at('word'), 'No decision');
  say(at('reason'), '');
  say(at('sentence'), text);
  for (const id of ['would', 'audited']) say(at(id), '');
  at('rules').tBodies[0].replaceChildren();
}

/** What an import says. */
export function showNotes(text, notes, kind) {
  say(at('imported'), text);
  at('notes').replaceChildren(...notes.map((note) => make('li', { className: kind }, noteInWords(note))));
}

/** What became of the cases. */
export function showResults({ cases, failed, results }) {
  say(at('outcome'), `${cases - failed} cases as expected, ${failed} not`);
  at('results').replaceChildren(...results.map(resultItem));
}

function resultItem({ name, asExpected, expected, is }) {
  if (asExpected) return make('li', { className: 'good' }, `✓ ${name}: ${decisionInWords(is)}`);
  const details = [expected.reason, expected.rule].filter((part) => part !== undefined).join(': ');
  const wanted = details === '' ? expected.decision : `${expected.decision} (${details})`;
  const would = (outcome) => (outcome === undefined ? '' : `, would ${outcome.decision ?? outcome}`);
  return make('li', {}, `✗ ${name}: expected ${wanted}${would(expected.would)}, is ${decisionInWords(is)}${would(is.would)}`);
}

/** Why the cases were not run. */
export function showNoResults(text) {
  say(at('outcome'), text);
  at('results').replaceChildren();
}
