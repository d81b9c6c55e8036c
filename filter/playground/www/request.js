// The form of a request: what is written in it, and what that asks.
import { at } from './dom.js';

const TEXTS = ['peer', 'method', 'path', 'host', 'port', 'source'];
const OF_HTTP = ['method', 'path', 'host'];

/** The question that the form asks; an empty field is missing from it. */
export function asked() {
  const question = {};
  for (const name of TEXTS) {
    const value = at(name).value.trim();
    if (value !== '' && !(at('tcp').checked && OF_HTTP.includes(name))) question[name] = value;
  }
  if (question.port !== undefined && /^\d{1,6}$/.test(question.port)) question.port = Number(question.port);
  if (question.peer === undefined) question.plaintext = true;
  if (at('tcp').checked) question.tcp = true;
  return question;
}

/** Fills the form. */
export function fill(question) {
  for (const name of TEXTS) {
    const value = question[name];
    at(name).value = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  }
  at('tcp').checked = question.tcp === true;
  settle();
}

/** What TCP has not cannot be typed, and fields with a fault say so. */
export function settle(faults = []) {
  for (const name of OF_HTTP) at(name).disabled = at('tcp').checked;
  for (const name of TEXTS) {
    const wrong = faults.some(({ pointer }) => pointer === `/${name}`);
    at(name).setAttribute('aria-invalid', String(wrong));
  }
}
