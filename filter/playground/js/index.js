import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { runCases } from './api.js';

export {
  CasesError,
  CredenceError,
  ImportError,
  Policy,
  PolicyError,
  RequestError,
  check,
  decisionInWords,
  importIstio,
  noteInWords,
  runCases,
} from './api.js';

export function runCasesFile(path) {
  const beside = (file) => readFileSync(resolve(dirname(path), file), 'utf8');
  return runCases(readFileSync(path, 'utf8'), beside);
}
