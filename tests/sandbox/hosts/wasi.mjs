// Runs a WASI command under Node's own WASI.
//
// usage: node wasi.mjs COMMAND.wasm FOLDER ARGUMENT...   (FOLDER is the command's ".")

import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [command, folder, ...rest] = process.argv.slice(2);
const wasi = new WASI({
  version: "preview1",
  args: ["credence_signer_cli", ...rest],
  preopens: { ".": folder },
  returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(command));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
