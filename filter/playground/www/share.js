// What a link holds: policy and request, compressed, after the `#`. Browsers send that to no server.

/** Characters of a fragment, and bytes of what is in it, that are looked at. */
const LONGEST_FRAGMENT = 64 * 1024;
const LONGEST_STATE = 512 * 1024;

async function through(bytes, stream, longest) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    length += value.length;
    if (length > longest) {
      await reader.cancel();
      throw new RangeError('it is too long');
    }
    parts.push(value);
  }
}

/** A fragment for this state; a RangeError if it would be too long for a link. */
export async function toFragment(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  if (bytes.length > LONGEST_STATE) throw new RangeError('it is too long');
  const packed = await through(bytes, new CompressionStream('deflate-raw'), LONGEST_FRAGMENT);
  const binary = Array.from(packed, (byte) => String.fromCharCode(byte)).join('');
  const fragment = `1.${btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
  if (fragment.length > LONGEST_FRAGMENT) throw new RangeError('it is too long');
  return fragment;
}

/** The state in a fragment; none where there is none that can be read. Anybody can write a link: every value is checked. */
export async function fromFragment(fragment) {
  if (!fragment.startsWith('1.') || fragment.length > LONGEST_FRAGMENT) return undefined;
  try {
    const binary = atob(fragment.slice(2).replaceAll('-', '+').replaceAll('_', '/'));
    const packed = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    const bytes = await through(packed, new DecompressionStream('deflate-raw'), LONGEST_STATE);
    const { policy, request } = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof policy !== 'string' || typeof request !== 'object' || request === null) return undefined;
    return { policy, request };
  } catch {
    return undefined;
  }
}
