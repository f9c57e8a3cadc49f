// setTimeout() and its relatives. A timer is recorded when it fires, so that a resume lets it fire at
// the same place among the answers.
(globals, host) => {
  // The longest delay of browsers and of Node.
  const LONGEST = 2 ** 31 - 1;

  let last = 0;
  const open = new Set();

  const begin = (name, callback) => {
    if (typeof callback !== 'function') throw new TypeError(`${name}() takes a function first, not ${typeof callback}`);
    last += 1;
    open.add(last);
    return last;
  };
  const spanOf = (delay) => Math.min(Math.max(Math.trunc(Number(delay)) || 1, 1), LONGEST);

  globals.setTimeout = function setTimeout(callback, delay, ...parameters) {
    const id = begin('setTimeout', callback);
    host.timer(spanOf(delay)).then(() => {
      if (open.delete(id)) callback(...parameters);
    });
    return id;
  };
  globals.setInterval = function setInterval(callback, delay, ...parameters) {
    const id = begin('setInterval', callback);
    const next = () =>
      host.timer(spanOf(delay)).then(() => {
        if (!open.has(id)) return;
        next();
        callback(...parameters);
      });
    next();
    return id;
  };
  const clear = (id) => void open.delete(Number(id));
  globals.clearTimeout = function clearTimeout(id) {
    clear(id);
  };
  globals.clearInterval = function clearInterval(id) {
    clear(id);
  };
};
