import { requirePeer } from './install.js';
import { type OnnxRuntime, onnxRuntimePeer } from './onnxruntime.js';
import type { Peer } from './peer.js';

export async function load(): Promise<Peer> {
  const ort: OnnxRuntime = requirePeer('onnxruntime-node');
  return onnxRuntimePeer('onnxruntime-node', ort.env.versions.node, ort, 'cpu');
}
