// gather(prompt, parts, opts): a synthesis whose prompt names the missing parts.
(globals, host) => {
  globals.gather = async function gather(prompt, parts, { minParts = 1, ...options } = {}) {
    if (typeof prompt !== 'string' || prompt.trim() === '') throw new TypeError('gather() takes a prompt first');
    const read = readParts(parts);
    const composed = host.gathered({ prompt, least: minParts, parts: read });
    host.informs();
    return globals.agent(composed, { label: 'gather', ...options });
  };

  const readParts = (parts) => {
    if (typeof parts !== 'object' || parts === null) {
      throw new TypeError('gather() takes an array of results second, or an object or a Map of results by name');
    }
    return named(parts).map(([name, part]) => readPart(name, part));
  };

  // An object puts numeric names first; a Map keeps the order of all names.
  const named = (parts) => {
    if (Array.isArray(parts)) return Array.from(parts, (part, index) => [`part ${index + 1}`, part]);
    return parts instanceof Map ? Array.from(parts) : Object.entries(parts);
  };

  const readPart = (name, part) => {
    const outcome = isOutcome(part);
    const value = outcome ? part.value : part;
    if (value === null || value === undefined) {
      const reason = outcome && (part.reason ?? part.status);
      return { name: String(name), reason: reason ? String(reason) : null };
    }
    return { name: String(name), text: typeof value === 'string' ? value : JSON.stringify(value) };
  };

  const isOutcome = (part) =>
    typeof part === 'object' && part !== null && ['status', 'value', 'reason', 'attempts'].every((key) => key in part);
};
