export { Handle, check, importIstio, policyFile, runCases } from './credence_playground.js';
