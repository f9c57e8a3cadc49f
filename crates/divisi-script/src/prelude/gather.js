// gather(prompt, parts, opts): a synthesis that knows what it has not been given.
(globals, host) => {
  globals.gather = async function gather(prompt, parts, { minParts = 1, ...options } = {}) {
    if (typeof prompt !== 'string' || prompt.trim() === '') throw new TypeError('gather() takes a prompt first');
    const read = readParts(parts);
    const missing = read.filter(({ text }) => text === undefined);
    const present = read.length - missing.length;
    if (present < minParts) {
      const why = missing.map(({ name, reason }) => `${name} (${reason})`).join(', ');
      throw new Error(`gather() has ${present} of ${read.length} parts and needs ${minParts}; missing: ${why || 'all'}`);
    }
    host.informs();
    return globals.agent(compose(prompt, read, missing), { label: 'gather', ...options });
  };

  const readParts = (parts) => {
    if (typeof parts !== 'object' || parts === null) {
      throw new TypeError('gather() takes an array of results second, or an object or a Map of results by name');
    }
    return named(parts).map(([name, part]) => readPart(name, part));
  };

  // An object puts names that are numbers first; a Map keeps the order of all.
  const named = (parts) => {
    if (Array.isArray(parts)) return Array.from(parts, (part, index) => [`part ${index + 1}`, part]);
    return parts instanceof Map ? Array.from(parts) : Object.entries(parts);
  };

  const readPart = (name, part) => {
    const outcome = isOutcome(part);
    const value = outcome ? part.value : part;
    if (value === null || value === undefined) {
      return { name, reason: (outcome && (part.reason ?? part.status)) || 'no result' };
    }
    return { name, text: typeof value === 'string' ? value : JSON.stringify(value) };
  };

  const isOutcome = (part) =>
    typeof part === 'object' && part !== null && ['status', 'value', 'reason', 'attempts'].every((key) => key in part);

  const compose = (prompt, read, missing) => {
    const sections = [prompt];
    for (const { name, text } of read) {
      if (text !== undefined) sections.push(`## ${name}\n\n${text}`);
    }
    if (missing.length > 0) {
      const lines = missing.map(({ name, reason }) => `- ${name}: ${reason}`);
      sections.push(
        `## Missing\n\n${missing.length} of ${read.length} parts could not be had:\n\n${lines.join('\n')}\n\n` +
          'Do not guess what they would have said. Say in your answer that they are missing.',
      );
    }
    return sections.join('\n\n');
  };
};
