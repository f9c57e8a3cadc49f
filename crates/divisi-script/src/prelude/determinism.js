// Takes away what would make a second run differ from the first. A run is
// resumed by running its script again with the answers it had.
(() => {
  const Clock = Date;

  const refuse = (what) => {
    throw new Error(`${what} gives another value when a run is resumed: pass the time or a seed in through \`args\``);
  };

  function FixedDate(...parts) {
    if (!new.target) refuse('Date()');
    if (parts.length === 0) refuse('new Date()');
    return Reflect.construct(Clock, parts, new.target);
  }
  Object.defineProperty(FixedDate, 'name', { value: 'Date' });
  Object.defineProperty(FixedDate, 'length', { value: 7 });
  Object.defineProperty(FixedDate, 'prototype', { value: Clock.prototype, writable: false });

  const hide = (object, name, value) =>
    Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });
  hide(FixedDate, 'parse', Clock.parse);
  hide(FixedDate, 'UTC', Clock.UTC);
  hide(FixedDate, 'now', () => refuse('Date.now()'));
  hide(Clock.prototype, 'constructor', FixedDate);
  hide(globalThis, 'Date', FixedDate);
  hide(Math, 'random', () => refuse('Math.random()'));
  delete globalThis.performance;
})();
