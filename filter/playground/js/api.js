// The policy engine as JavaScript sees it. What each function takes and gives is in index.d.ts.
import * as engine from './engine.js';

/** UTF-16 units of a text that is handed over at all; the engine counts bytes, and says so better. */
const LONGEST = 48 * 1024 * 1024;

export class CredenceError extends Error {
  constructor(message, kind, faults) {
    super(message);
    this.name = new.target.name;
    this.kind = kind;
    this.faults = faults;
  }
}

export class PolicyError extends CredenceError {
  constructor({ faults, unlisted }) {
    const lines = faults.map((fault) => `${fault.pointer || '/'}: ${fault.message}`);
    if (unlisted > 0) lines.push(`and ${unlisted} more`);
    super(lines.join('\n'), 'policy', faults);
    this.unlisted = unlisted;
  }
}

export class RequestError extends CredenceError {
  constructor({ faults }) {
    super(faults.map((fault) => `${fault.pointer || '/'}: ${fault.message}`).join('\n'), 'request', faults);
  }
}

export class CasesError extends CredenceError {
  constructor({ faults }) {
    super(faults.map((fault) => fault.message).join('\n'), 'cases', faults);
  }
}

export class ImportError extends CredenceError {
  constructor({ faults }) {
    super(faults.map(noteInWords).join('\n'), 'import', faults);
  }
}

const ERRORS = { policy: PolicyError, request: RequestError, cases: CasesError, import: ImportError };

export function noteInWords({ place, message }) {
  if (place === null) return message;
  const parts = [`${place.file}:${place.line}`, place.resource, place.field, message];
  return parts.filter((part) => part !== '').join(': ');
}

function text(value, what) {
  if (typeof value !== 'string') throw new TypeError(`${what} has to be a text`);
  if (value.length > LONGEST) throw new RangeError(`${what} has more than ${LONGEST} characters`);
  return value;
}

function object(value, what) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${what} has to be an object`);
  }
  return text(JSON.stringify(value), what);
}

/** Runs what answers in JSON, and throws in JSON. */
function ask(question) {
  let answer;
  try {
    answer = question();
  } catch (failure) {
    if (typeof failure !== 'string') throw failure;
    const told = JSON.parse(failure);
    throw new ERRORS[told.kind](told);
  }
  return typeof answer === 'string' ? JSON.parse(answer) : answer;
}

export function check(policy) {
  return ask(() => engine.check(text(policy, 'a policy')));
}

export class Policy {
  #handle;

  constructor(policy) {
    this.#handle = ask(() => engine.Handle.load(text(policy, 'a policy')));
  }

  about() {
    return ask(() => this.#handle.about());
  }

  explain(request) {
    return ask(() => this.#handle.explain(object(request, 'a request')));
  }

  decide(request) {
    return this.explain(request).decision;
  }

  free() {
    this.#handle.free();
  }
}

export function importIstio(sources, options = {}) {
  const order = object({ ...options, sources }, 'an import');
  return ask(() => engine.importIstio(order));
}

export function runCases(cases, readPolicy) {
  const file = ask(() => engine.policyFile(text(cases, 'a file of cases')));
  const policy = file === null || readPolicy === undefined ? undefined : text(readPolicy(file), file);
  return ask(() => engine.runCases(cases, policy));
}

export function decisionInWords({ decision, reason, rule }) {
  return rule === undefined ? `${decision} (${reason})` : `${decision} (${reason}: ${rule})`;
}
