// Finds the part of a value that JSON cannot express, with the reason.
(value) => {
  const search = (part, path, above) => {
    if (typeof part === 'bigint') return `\`${path}\` is a BigInt`;
    if (typeof part !== 'object' || part === null) return undefined;
    if (above.includes(part)) return `\`${path}\` contains itself`;
    for (const [key, inner] of Object.entries(part)) {
      const step = Array.isArray(part) ? `[${key}]` : `.${key}`;
      const found = search(inner, path + step, [...above, part]);
      if (found) return found;
    }
    return undefined;
  };
  return search(value, 'result', []);
};
