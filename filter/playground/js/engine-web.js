import init from './credence_playground.js';

await init({ module_or_path: new URL('credence_playground_bg.wasm', import.meta.url) });

export { Handle, check, importIstio, policyFile, runCases } from './credence_playground.js';
