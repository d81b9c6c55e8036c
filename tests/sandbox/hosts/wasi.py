"""Runs a WASI command under the Python package wasmtime.

usage: wasi.py COMMAND.wasm FOLDER ARGUMENT...   (FOLDER is the command's ".")
"""

import sys

import wasmtime

command, folder, *arguments = sys.argv[1:]
engine = wasmtime.Engine()
linker = wasmtime.Linker(engine)
linker.define_wasi()
wasi = wasmtime.WasiConfig()
wasi.argv = ["credence_signer_cli", *arguments]
wasi.preopen_dir(folder, ".")
wasi.inherit_stdout()
wasi.inherit_stderr()
store = wasmtime.Store(engine)
store.set_wasi(wasi)
instance = linker.instantiate(store, wasmtime.Module.from_file(engine, command))
try:
    instance.exports(store)["_start"](store)
except wasmtime.ExitTrap as exit:
    sys.exit(exit.code)
