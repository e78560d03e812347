import { requirePeer } from './install.js';
import { type OnnxRuntime, onnxRuntimePeer } from './onnxruntime.js';
import type { Peer } from './peer.js';

export async function load(): Promise<Peer> {
  const ort: OnnxRuntime = requirePeer('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  return onnxRuntimePeer('onnxruntime-web', ort.env.versions.web, ort, 'wasm');
}
