// parallel() and pipeline(): many functions at once; `null` for each that throws.
(globals, host) => {
  globals.parallel = async function parallel(thunks) {
    checkList('parallel', 'functions', thunks);
    thunks.forEach(checkThunk);
    const group = host.group('parallel');
    host.begin(group, thunks.length);
    return runThunks(Array.from(thunks), group);
  };

  globals.pipeline = async function pipeline(items, ...stages) {
    checkList('pipeline', 'items', items);
    const wrong = stages.findIndex((stage) => typeof stage !== 'function');
    if (wrong >= 0) throw new TypeError(`stage ${wrong} of pipeline() is ${kind(stages[wrong])}, not a function`);
    const group = host.group('pipeline');
    host.begin(group, items.length);
    let ended = 0;
    const cut = () => ended++;
    const all = Promise.all(Array.from(items, (item, index) => runStages(item, index, stages, cut)));
    host.leave(group);
    const results = await all;
    host.end(group);
    if (ended > 0) host.cut(group, ended, items.length);
    return results;
  };

  const checkList = (name, what, list) => {
    if (!Array.isArray(list)) throw new TypeError(`${name}() takes an array of ${what}, not ${kind(list)}`);
    if (list.length > host.itemsMax) {
      throw new RangeError(`${name}() takes ${host.itemsMax} ${what} at most, not ${list.length}`);
    }
  };

  const checkThunk = (thunk, index) => {
    if (typeof thunk === 'function') return;
    if (typeof thunk?.then !== 'function') {
      throw new TypeError(`item ${index} of parallel() is ${kind(thunk)}, not a function: write () => agent(…)`);
    }
    host.warn('parallel() was given promises: write () => agent(…), so that it starts them itself');
  };

  // Not Promise.all() over async functions: that takes a third more time and memory
  // per call, for thousands of calls.
  const runThunks = (thunks, group) =>
    new Promise((resolve, reject) => {
      const results = new Array(thunks.length);
      let open = thunks.length;
      const conclude = () => {
        host.end(group);
        resolve(results);
      };
      const keep = (index, value) => {
        results[index] = value;
        if (--open === 0) conclude();
      };
      const lose = (index, error) => {
        if (isOutOfMemory(error)) reject(error);
        else keep(index, drop('parallel', index, error));
      };
      thunks.forEach((thunk, index) => {
        try {
          const result = typeof thunk === 'function' ? thunk() : thunk;
          Promise.resolve(result).then((value) => keep(index, value), (error) => lose(index, error));
        } catch (error) {
          lose(index, error);
        }
      });
      host.leave(group);
      if (thunks.length === 0) conclude();
    });

  const runStages = async (item, index, stages, cut) => {
    try {
      let value = item;
      for (const [at, stage] of stages.entries()) {
        const calls = host.calls();
        const given = stage(value, item, index);
        // A stage that makes no call and promises null has left out its own work, not that of later ones.
        const skips = typeof given?.then === 'function' && host.calls() === calls;
        value = await given;
        if (value === null && !skips && at + 1 < stages.length && !host.handsOnNull) {
          cut();
          break;
        }
      }
      return value;
    } catch (error) {
      if (isOutOfMemory(error)) throw error;
      return drop('pipeline', index, error);
    }
  };

  // The engine throws `null` when there is no memory for an exception.
  const isOutOfMemory = (error) =>
    error === null || (error instanceof InternalError && error.message === 'out of memory');

  const drop = (name, index, error) => {
    host.dropped(name, index, error);
    return null;
  };

  const kind = (value) => {
    if (value === null || value === undefined) return String(value);
    if (Array.isArray(value)) return 'an array';
    return typeof value.then === 'function' ? 'a promise' : `a value of type ${typeof value}`;
  };
};
