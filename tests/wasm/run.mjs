// node run.mjs PROGRAM.wasm ARGUMENTS...: runs a WASI program, which sees the current folder and the root; its exit status is ours.
import {readFile} from 'node:fs/promises';
import {WASI} from 'node:wasi';

const wasi = new WASI({version: 'preview1', args: process.argv.slice(2), env: {}, preopens: {'/': '/', '.': '.'}});
const program = await WebAssembly.compile(await readFile(process.argv[2]));
process.exitCode = wasi.start(await WebAssembly.instantiate(program, {wasi_snapshot_preview1: wasi.wasiImport}));
