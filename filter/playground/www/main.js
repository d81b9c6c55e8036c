import { at, make, say } from './dom.js';
import { CredenceError, Policy, check, importIstio, runCases } from './api.js';
import { Editor } from './editor.js';
import { EXAMPLES, ISTIO } from './examples.js';
import { asked, fill, settle } from './request.js';
import { fromFragment, toFragment } from './share.js';
import { theme } from './theme.js';
import { showDecision, showNoDecision, showNoResults, showNotes, showPolicy, showResults } from './view.js';

/** Milliseconds of quiet after which what was typed is looked at. */
const QUIET = 120;

let policy;
let waiting;
const editor = new Editor(at('editor'), soon);

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(judge, QUIET);
}

/** Reads the policy, marks its faults, and decides. */
function judge() {
  clearTimeout(waiting);
  policy?.free();
  policy = undefined;
  const checked = check(editor.text);
  editor.mark(checked.ok ? [] : checked.faults);
  showPolicy(checked, (fault) => editor.go(fault));
  if (checked.ok && checked.policy !== undefined) policy = new Policy(editor.text);
  decide();
}

function decide() {
  settle();
  if (policy === undefined) {
    showNoDecision('The policy has faults: a filter would not load it.');
    return;
  }
  try {
    showDecision(policy.explain(asked()));
  } catch (error) {
    if (!(error instanceof CredenceError)) throw error;
    settle(error.faults);
    showNoDecision(error.message);
  }
}

function begin(example) {
  editor.text = example.policy;
  at('cases').value = example.cases;
  showNoResults('');
  at('preset').replaceChildren(...example.requests.map(({ name }, index) => make('option', { value: String(index) }, name)));
  fill(example.requests[0].request);
  judge();
}

function readIstio() {
  const trustDomain = at('trust-domain').value.trim();
  const namespace = at('namespace').value.trim();
  const options = { ...(trustDomain && { trustDomain }), ...(namespace && { namespace }) };
  try {
    const imported = importIstio([{ name: 'istio.yaml', text: at('yaml').value }], options);
    editor.text = imported.policy;
    judge();
    showNotes('This is the policy now.', imported.warnings, 'note');
  } catch (error) {
    if (!(error instanceof CredenceError)) throw error;
    showNotes('Nothing is imported.', error.faults, 'bad');
  }
}

function test() {
  try {
    showResults(runCases(at('cases').value, () => editor.text));
  } catch (error) {
    if (!(error instanceof CredenceError)) throw error;
    showNoResults(error.message);
  }
}

async function share() {
  try {
    const fragment = await toFragment({ policy: editor.text, request: asked() });
    history.replaceState(null, '', `#${fragment}`);
    await navigator.clipboard.writeText(location.href).then(
      () => say(at('shared'), 'Link copied'),
      () => say(at('shared'), 'The link is in the address bar'),
    );
  } catch {
    say(at('shared'), 'Too long for a link');
  }
}

/** Takes over what a link holds. */
async function shared() {
  const state = await fromFragment(location.hash.slice(1));
  if (state === undefined) return;
  editor.text = state.policy;
  fill(state.request);
  judge();
}

function tie() {
  theme(at('theme'));
  at('example').replaceChildren(...EXAMPLES.map(({ name }, index) => make('option', { value: String(index) }, name)));
  at('example').addEventListener('change', () => begin(EXAMPLES[at('example').selectedIndex]));
  at('preset').addEventListener('change', () => {
    fill(EXAMPLES[at('example').selectedIndex].requests[at('preset').selectedIndex].request);
    decide();
  });
  at('request').addEventListener('input', decide);
  at('request').addEventListener('submit', (event) => {
    event.preventDefault();
    judge();
  });
  at('import').addEventListener('click', readIstio);
  at('run').addEventListener('click', test);
  at('share').addEventListener('click', share);
  addEventListener('hashchange', shared);
  at('yaml').value = ISTIO;
}

addEventListener('error', ({ message }) => {
  at('broken').hidden = false;
  say(at('broken'), `This page broke: ${message}. Load it again.`);
});

tie();
begin(EXAMPLES[0]);
await shared();
document.documentElement.dataset.ready = 'true';
