// Removes everything that could make a second execution differ from the first. A run
// is resumed by executing its script again with the recorded answers, perhaps on another
// machine: so there is no clock and no randomness, and every local time is UTC.
(() => {
  const Clock = Date;

  const refuse = (what) => {
    throw new Error(`${what} gives another value when a run is resumed: pass the time or a seed in through \`args\``);
  };

  const { UTC, prototype: times } = Clock;

  // By the standard a date alone is UTC, and a time with a zone is in that zone;
  // all other times are local.
  const DAY = /^[+-]?\d{4,6}(-\d\d(-\d\d)?)?$/;
  const ZONED = /(Z|UTC?|GMT|[+-]\d\d:?\d\d|\b[ECMP][SD]T)\s*(\(.*\))?$/i;
  const ISO = /^[+-]?\d{4,6}-\d\d-\d\dT/;
  const parse = function parse(written) {
    const text = String(written).trim();
    if (DAY.test(text) || ZONED.test(text)) return native.parse(text);
    return native.parse(ISO.test(text) ? `${text}Z` : `${text} GMT`);
  };
  const native = { parse: Clock.parse };

  const timeOf = (parts) => {
    if (parts.length > 1) return UTC(...parts);
    const [value] = parts;
    if (value instanceof Clock) return value.getTime();
    const primitive = typeof value === 'object' && value !== null ? value[Symbol.toPrimitive]?.('default') ?? value.valueOf() : value;
    return typeof primitive === 'string' || typeof primitive === 'object' ? parse(primitive) : Number(primitive);
  };

  function FixedDate(...parts) {
    if (!new.target) refuse('Date()');
    if (parts.length === 0) refuse('new Date()');
    return Reflect.construct(Clock, [timeOf(parts)], new.target);
  }
  Object.defineProperty(FixedDate, 'name', { value: 'Date' });
  Object.defineProperty(FixedDate, 'length', { value: 7 });
  Object.defineProperty(FixedDate, 'prototype', { value: Clock.prototype, writable: false });

  const hide = (object, name, value) =>
    Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });
  hide(FixedDate, 'parse', parse);
  hide(FixedDate, 'UTC', UTC);
  hide(FixedDate, 'now', () => refuse('Date.now()'));
  hide(Clock.prototype, 'constructor', FixedDate);
  const local = ['FullYear', 'Month', 'Date', 'Hours', 'Minutes', 'Seconds', 'Milliseconds'];
  for (const part of local) {
    hide(times, `get${part}`, times[`getUTC${part}`]);
    hide(times, `set${part}`, times[`setUTC${part}`]);
  }
  hide(times, 'getDay', times.getUTCDay);
  hide(times, 'getTimezoneOffset', function getTimezoneOffset() {
    return this.getTime() * 0;
  });
  hide(times, 'getYear', function getYear() {
    return this.getUTCFullYear() - 1900;
  });
  hide(times, 'setYear', function setYear(year) {
    const whole = Math.trunc(year);
    return this.setUTCFullYear(whole >= 0 && whole <= 99 ? 1900 + whole : year);
  });

  // The formats of V8 in zone UTC and American English, made from `Thu, 01 Jan 1970 00:00:00 GMT`.
  const write = (name, form) =>
    hide(times, name, { [name]() {
      if (Number.isNaN(this.getTime())) return 'Invalid Date';
      const [, weekday, day, month, year, time] = /^(\w+), (\d+) (\w+) (-?\d+) ([\d:]+)/.exec(this.toUTCString());
      const two = (n) => String(n).padStart(2, '0');
      const [hours, minutes, seconds] = time.split(':').map(Number);
      return form({
        date: `${weekday} ${month} ${day} ${year}`,
        time: `${time} GMT+0000`,
        localeDate: `${this.getUTCMonth() + 1}/${this.getUTCDate()}/${year}`,
        localeTime: `${hours % 12 || 12}:${two(minutes)}:${two(seconds)} ${hours < 12 ? 'AM' : 'PM'}`,
      });
    } }[name]);
  write('toString', ({ date, time }) => `${date} ${time}`);
  write('toDateString', ({ date }) => date);
  write('toTimeString', ({ time }) => time);
  write('toLocaleString', ({ localeDate, localeTime }) => `${localeDate}, ${localeTime}`);
  write('toLocaleDateString', ({ localeDate }) => localeDate);
  write('toLocaleTimeString', ({ localeTime }) => localeTime);
  hide(globalThis, 'Date', FixedDate);
  hide(Math, 'random', () => refuse('Math.random()'));
  delete globalThis.performance;
})();
