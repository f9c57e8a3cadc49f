// TextEncoder and TextDecoder, for UTF-8.
(() => {
  const bytesOf = (point) => {
    if (point < 0x80) return [point];
    const tail = (shift) => 0x80 | ((point >> shift) & 0x3f);
    if (point < 0x800) return [0xc0 | (point >> 6), tail(0)];
    if (point < 0x10000) return [0xe0 | (point >> 12), tail(6), tail(0)];
    return [0xf0 | (point >> 18), tail(12), tail(6), tail(0)];
  };

  class TextEncoder {
    get encoding() {
      return 'utf-8';
    }
    encode(text = '') {
      const bytes = [];
      for (const char of String(text).toWellFormed()) {
        for (const byte of bytesOf(char.codePointAt(0))) bytes.push(byte);
      }
      return Uint8Array.from(bytes);
    }
    encodeInto(text, target) {
      let read = 0;
      let written = 0;
      for (const char of String(text).toWellFormed()) {
        const bytes = bytesOf(char.codePointAt(0));
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += char.length;
      }
      return { read, written };
    }
  }

  // The bytes that may follow a lead byte: how many, and the range of the first,
  // which excludes overlong forms, surrogates and values beyond Unicode.
  const shape = (lead) => {
    if (lead >= 0xc2 && lead <= 0xdf) return [1, 0x80, 0xbf];
    if (lead >= 0xe0 && lead <= 0xef) return [2, lead === 0xe0 ? 0xa0 : 0x80, lead === 0xed ? 0x9f : 0xbf];
    if (lead >= 0xf0 && lead <= 0xf4) return [3, lead === 0xf0 ? 0x90 : 0x80, lead === 0xf4 ? 0x8f : 0xbf];
    return undefined;
  };

  // Reads one character: [point, length], or [undefined, length] if it is invalid.
  const decodeAt = (bytes, at) => {
    const lead = bytes[at];
    if (lead < 0x80) return [lead, 1];
    const found = shape(lead);
    if (!found) return [undefined, 1];
    const [count, low, high] = found;
    let point = lead & (0x3f >> count);
    for (let next = 1; next <= count; next++) {
      const byte = bytes[at + next];
      const [least, most] = next === 1 ? [low, high] : [0x80, 0xbf];
      if (byte === undefined || byte < least || byte > most) return [undefined, next];
      point = (point << 6) | (byte & 0x3f);
    }
    return [point, count + 1];
  };

  class TextDecoder {
    constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
      if (!['utf-8', 'utf8', 'unicode-1-1-utf-8'].includes(String(label).trim().toLowerCase())) {
        throw new RangeError(`the encoding ${label} is not supported, only utf-8`);
      }
      Object.assign(this, { encoding: 'utf-8', fatal, ignoreBOM });
    }
    decode(input = new Uint8Array()) {
      const bytes = ArrayBuffer.isView(input)
        ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
        : new Uint8Array(input);
      const chars = [];
      for (let at = 0; at < bytes.length; ) {
        const [point, length] = decodeAt(bytes, at);
        if (point === undefined && this.fatal) throw new TypeError(`byte ${at} is not UTF-8`);
        const isMark = at === 0 && point === 0xfeff && !this.ignoreBOM;
        if (!isMark) chars.push(point === undefined ? '\ufffd' : String.fromCodePoint(point));
        at += length;
      }
      return chars.join('');
    }
  }

  for (const type of [TextEncoder, TextDecoder]) {
    Object.defineProperty(globalThis, type.name, { value: type, writable: true, configurable: true });
  }
})();
