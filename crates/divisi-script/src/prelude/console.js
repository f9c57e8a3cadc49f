// log(), console and process: messages of scripts to the user, and a constant.
(globals, host) => {
  const show = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return `${value}`;
    try {
      return JSON.stringify(value) ?? String(value);
    } catch {
      return String(value);
    }
  };
  const say = (...values) => host.report(values.map(show).join(' '));

  globals.log = function log(message) {
    host.report(show(message));
  };
  globals.console = Object.fromEntries(['log', 'info', 'warn', 'error', 'debug', 'trace'].map((name) => [name, say]));
  globals.process = { cwd: () => host.cwd };
};
