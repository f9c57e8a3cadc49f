// structuredClone(): a deep copy that keeps cycles and JavaScript's own types.
(() => {
  const copy = (value, seen) => {
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw new DOMException(`a ${typeof value} cannot be cloned`, 'DataCloneError');
    }
    if (typeof value !== 'object' || value === null) return value;
    if (!seen.has(value)) fill(value, seen);
    return seen.get(value);
  };

  // The copy is stored before its parts are made, since they may refer to it.
  const fill = (value, seen) => {
    const keep = (made) => {
      seen.set(value, made);
      return made;
    };
    if (Array.isArray(value)) return copyParts(value, keep(new Array(value.length)), seen);
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) return copyView(value, keep, seen);
    if (value instanceof Map) return copyMap(value, keep(new Map()), seen);
    if (value instanceof Set) return copySet(value, keep(new Set()), seen);
    if (value instanceof Error) return copyError(value, keep, seen);
    if (value instanceof Number || value instanceof String || value instanceof Boolean) {
      return keep(Object(value.valueOf()));
    }
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
      throw new DOMException(`a ${value.constructor.name} cannot be cloned`, 'DataCloneError');
    }
    return copyParts(value, keep({}), seen);
  };

  const copyParts = (value, made, seen) => {
    for (const key of Object.keys(value)) put(made, key, copy(value[key], seen));
  };

  // Assigning to `__proto__` would change the copy's prototype.
  const put = (made, key, value) => {
    if (key !== '__proto__') made[key] = value;
    else Object.defineProperty(made, key, { value, writable: true, enumerable: true, configurable: true });
  };

  const copyMap = (value, made, seen) => {
    for (const [key, part] of value) made.set(copy(key, seen), copy(part, seen));
  };

  const copySet = (value, made, seen) => {
    for (const part of value) made.add(copy(part, seen));
  };

  const copyView = (value, keep, seen) => {
    const length = value instanceof DataView ? value.byteLength : value.length;
    keep(new value.constructor(copy(value.buffer, seen), value.byteOffset, length));
  };

  const copyError = (value, keep, seen) => {
    const known = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
    const made = keep(new (known.find(({ name }) => name === value.name) ?? Error)(value.message));
    made.stack = value.stack;
    if ('cause' in value) made.cause = copy(value.cause, seen);
  };

  const structuredClone = (value) => copy(value, new Map());
  Object.defineProperty(globalThis, 'structuredClone', { value: structuredClone, writable: true, configurable: true });
})();
