// parallel() and pipeline(): many things at once, a `null` where one throws.
(globals, host) => {
  globals.parallel = async function parallel(thunks) {
    checkList('parallel', 'functions', thunks);
    thunks.forEach(checkThunk);
    return Promise.all(Array.from(thunks, runThunk));
  };

  globals.pipeline = async function pipeline(items, ...stages) {
    checkList('pipeline', 'items', items);
    const wrong = stages.findIndex((stage) => typeof stage !== 'function');
    if (wrong >= 0) throw new TypeError(`stage ${wrong} of pipeline() is ${kind(stages[wrong])}, not a function`);
    return Promise.all(Array.from(items, (item, index) => runStages(item, index, stages)));
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

  const runThunk = async (thunk, index) => {
    try {
      return await (typeof thunk === 'function' ? thunk() : thunk);
    } catch (error) {
      return drop('parallel', index, error);
    }
  };

  const runStages = async (item, index, stages) => {
    try {
      let value = item;
      for (const stage of stages) value = await stage(value, item, index);
      return value;
    } catch (error) {
      return drop('pipeline', index, error);
    }
  };

  const drop = (name, index, error) => {
    if (error instanceof InternalError && error.message === 'out of memory') throw error;
    host.dropped(name, index, error);
    return null;
  };

  const kind = (value) => {
    if (value === null || value === undefined) return String(value);
    if (Array.isArray(value)) return 'an array';
    return typeof value.then === 'function' ? 'a promise' : `a value of type ${typeof value}`;
  };
};
