// Tells what a script looks at in the results of a dry run: their fields, and tests of texts that
// contain `mark`. Returns the function that makes a result tell.
(mark, field, test) => {
  const apply = Reflect.apply;
  const within = String.prototype.includes;
  const isMarked = (text) => typeof text === 'string' && apply(within, text, [mark]);

  // Calls of built-in functions within others are no tests.
  let depth = 0;
  const patch = (owner, name, tell) => {
    const original = owner[name];
    const told = {
      [name](...given) {
        if (depth === 0) tell(this, ...given);
        depth += 1;
        try {
          return apply(original, this, given);
        } finally {
          depth -= 1;
        }
      },
    }[name];
    Object.defineProperty(owner, name, { value: told, writable: true, enumerable: false, configurable: true });
  };

  const onText = (kind) => (text, what) => {
    if (isMarked(text) && typeof what === 'string') test(text, kind, [what]);
  };
  patch(String.prototype, 'startsWith', onText('starts'));
  patch(String.prototype, 'endsWith', onText('ends'));
  patch(String.prototype, 'includes', onText('contains'));
  patch(String.prototype, 'indexOf', onText('contains'));
  const onPattern = (text, pattern) => {
    if (isMarked(text) && pattern instanceof RegExp) test(text, 'matches', [pattern.source]);
  };
  for (const name of ['match', 'search', 'matchAll']) patch(String.prototype, name, onPattern);
  for (const name of ['test', 'exec']) patch(RegExp.prototype, name, (pattern, text) => onPattern(text, pattern));
  for (const name of ['replace', 'replaceAll', 'split']) patch(String.prototype, name, () => {});

  // A text is looked up in a list of the script, or a text of the script in a list of results.
  const LISTED_MAX = 64;
  const among = (texts, what) => {
    const known = [];
    for (const text of texts) {
      if (known.length === LISTED_MAX) break;
      if (isMarked(what)) {
        if (typeof text === 'string' && !isMarked(text)) known.push(text);
      } else if (isMarked(text)) test(text, 'among', [what]);
    }
    if (known.length > 0) test(what, 'among', known);
  };
  const onList = (list, what) => {
    if (typeof what === 'string' && Array.isArray(list)) among(list, what);
  };
  patch(Array.prototype, 'includes', onList);
  patch(Array.prototype, 'indexOf', onList);
  const onKeys = (table, what) => {
    if (typeof what === 'string' && (table instanceof Map || table instanceof Set)) among([...table.keys()], what);
  };
  patch(Set.prototype, 'has', onKeys);
  patch(Map.prototype, 'has', onKeys);
  patch(Map.prototype, 'get', onKeys);
  const onTable = (table, what) => {
    if (isMarked(what) && typeof table === 'object' && table !== null) among(Object.keys(table), what);
  };
  patch(Object.prototype, 'hasOwnProperty', onTable);
  patch(Object, 'hasOwn', (_, table, what) => onTable(table, what));

  // Parts are made to tell before the whole: a script may freeze it, and a proxy must then return
  // the parts as they are.
  const telling = (call, value, path, seen) => {
    if (typeof value !== 'object' || value === null) return value;
    for (const key of Object.keys(value)) {
      const inner = Array.isArray(value) ? path : path === '' ? key : `${path}.${key}`;
      value[key] = telling(call, value[key], inner, seen);
    }
    // A length that a built-in function reads to walk the list decides nothing.
    let walks = 0;
    return new Proxy(value, {
      get(target, key, receiver) {
        const part = Reflect.get(target, key, receiver);
        const isWalk = typeof key === 'symbol' || typeof part === 'function' || key === 'toJSON';
        if (isWalk) walks = key === Symbol.iterator ? target.length + 1 : 1;
        if (key === 'then' || (typeof part === 'object' && part !== null)) return part;
        if (key === 'length' && walks > 0) {
          walks -= 1;
          return part;
        }
        const name = isWalk || Array.isArray(target) ? path : path === '' ? key : `${path}.${key}`;
        const decides = !isWalk && !isMarked(part);
        const id = `${decides} ${name}`;
        if (!(id in seen)) {
          seen[id] = true;
          field(call, name, decides);
        }
        return part;
      },
    });
  };
  return (call, value) => telling(call, value, '', Object.create(null));
};
